"""The work of `embedkit evaluate recommendations`: read, split, train, rank, tell."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli.flags import given_values
from embedkit.cli.model import DEFAULT_MODEL, ENVIRONMENT, open_model
from embedkit.cli.registry import registry
from embedkit.cli.report import Timer, duration, next_command, plural, reasons, tell_corpus
from embedkit.cli.scores import as_csv, as_json, decimals, table_lines
from embedkit.cli.table import terminal_width
from embedkit.cli.terminal import TerminalRun
from embedkit.cli.train import spec_flags
from embedkit.errors import did_you_mean

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings
    from embedkit.evaluation import Evaluation, HeldOut, Interval, TrainPart
    from embedkit.evaluation.rankers import Ranker
    from embedkit.training import Plan

_WORDS = ("user", "item")
_MANY = 5_000  # items from which EASE makes people wait
_BASELINES = ("popularity", "ItemKNN", "EASE")


@dataclass(frozen=True)
class Wish:
    """What is asked for, checked as far as that goes without reading anything."""

    source: str | None
    values: Mapping[str, Any]
    split: str | None
    split_options: Mapping[str, Any]
    split_output: Path | None
    split_layout: str
    test: Path | None
    test_layout: str
    trainers: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]]
    models: tuple[Path, ...]
    cutoffs: tuple[int, ...]
    metric: str
    options: Mapping[str, Any]
    ease_limit: int | None
    form: str

    @classmethod
    def of(cls, ctx: click.Context, params: dict[str, Any]) -> Wish:
        """Make a wish of the parsed flags."""
        source, test, models, split = (params[name] for name in ("source", "test", "models", "split"))
        _check_ways(params)
        if source is None and not models:
            models = (Path(os.environ.get(ENVIRONMENT) or DEFAULT_MODEL),)
        if source is not None and test is None:
            split = split or "leave-one-out"
        trainers = _trainers(ctx, params, learns=source is not None and not models)
        seed = {} if params["seed"] is None else {"seed": params["seed"]}
        return cls(
            source=source,
            values=given_values(spec_flags(ctx), params) | _declared(ctx, source, seed),
            split=split,
            split_options=split_options(split, params),
            split_output=params["split_output"],
            split_layout=params["split_layout"],
            test=test,
            test_layout=params["test_layout"] or ("lines" if source is None else "source"),
            trainers=trainers,
            settings=trainer_settings(ctx, params["settings"], trainers, seed),
            models=tuple(models),
            cutoffs=tuple(params["cutoffs"]) or (10, 20),
            metric=params["metric"],
            options={name: params[name] for name in ("include_seen", "fallback", "confidence")} | seed,
            ease_limit=params["ease_limit"],
            form=params["form"],
        )


def _declared(ctx: click.Context, source: str | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `values` that are options of the source."""
    from embedkit.options import describe

    if source is None:
        return {}
    names = {spec.name for spec in describe(registry(ctx).plugins().source(source).Options)}
    return {name: value for name, value in values.items() if name in names}


def _check_ways(params: Mapping[str, Any]) -> None:
    """Refuse flags that contradict each other or lead nowhere."""
    source, test, models, split = (params[name] for name in ("source", "test", "models", "split"))
    if split and test:
        raise click.UsageError("--split and --test exclude each other: hold something out, or bring a test.")
    if test is None and models:
        raise click.UsageError("a model has learned from what a split would hold out: bring a test with --test FILE.")
    if test is None and source is None:
        raise click.UsageError(
            "say what to evaluate: --source NAME --split leave-one-out to learn and test, or --model FILE --test FILE."
        )
    if params["test_layout"] == "source" and source is None:
        raise click.UsageError("--test-layout source needs the source that reads the test: --source NAME.")
    for flag in ("trainers", "split_output") if source is None else ():
        if params[flag]:
            raise click.UsageError(f"--{flag.replace('_', '-').removesuffix('s')} needs --source NAME to read from.")
    if test is not None and params["split_output"]:
        raise click.UsageError("--split-output writes a split, and --test brings one already: leave one of them out.")


def split_options(split: str | None, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the split, refusing those that it does not take."""
    takes = {
        "random": {"share", "seed"},
        "leave-one-out": {"seed"},
        "by-time": {"share", "until"},
        "next-item": {"share"},
    }
    given = {name: params[name] for name in ("share", "until", "seed") if params[name] is not None}
    for name in ("share", "until"):
        if name in given and name not in takes.get(split or "", set()):
            which = " or ".join(other for other, names in takes.items() if name in names)
            raise click.UsageError(f"--{name} goes with --split {which}.")
    return {name: value for name, value in given.items() if name in takes.get(split or "", set())}


def _trainers(ctx: click.Context, params: Mapping[str, Any], learns: bool) -> tuple[str, ...]:
    """Return the trainers asked for, or the source's favourite where nothing else is evaluated."""
    from embedkit.training import trainer_name

    plugins = registry(ctx).plugins()
    named = tuple(dict.fromkeys(params["trainers"]))
    for name in named:
        plugins.trainer(name)
    return named or ((trainer_name(plugins.source(params["source"])),) if learns else ())


def trainer_settings(
    ctx: click.Context, given: Sequence[str], trainers: Sequence[str], seed: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return each trainer's options from `trainer.option=value`, or `option=value` for all that know it."""
    from embedkit.options import describe

    plugins = registry(ctx).plugins()
    known = {name: {spec.name for spec in describe(plugins.trainer(name).Options)} for name in trainers}
    result: dict[str, dict[str, Any]] = {n: {k: v for k, v in seed.items() if k in known[n]} for n in trainers}
    for text in given:
        name, equals, value = text.partition("=")
        trainer, dot, option = name.rpartition(".")
        option = option.replace("-", "_")
        if not equals or (dot and trainer not in known):
            chosen = ", ".join(trainers) or "none"
            raise click.UsageError(f"--set {text} is no TRAINER.OPTION=VALUE of a chosen trainer ({chosen}).")
        takers = [trainer] if dot else [n for n in trainers if option in known[n]]
        if not takers or option not in known[takers[0]]:
            near = did_you_mean(option, known[trainer] if dot else set().union(*known.values()))
            who = f"{trainer} has no" if dot else "no chosen trainer has an"
            raise click.UsageError(f"--set {text}: {who} option {option}.{near}")
        for taker in takers:
            result[taker][option] = value
    return result


def compare(ctx: click.Context, wish: Wish) -> None:
    """Do what is asked, and print it."""
    with TerminalRun(epochs=None) as run:
        bench = _Bench(ctx, wish, run)
        evaluations = bench.evaluations()
        run.close()
        left_out = bench.left_out
        if wish.form == "json":
            click.echo(as_json(evaluations, left_out))
        elif wish.form == "csv":
            click.echo(as_csv(evaluations), nl=False)
        else:
            for line in table_lines(evaluations, wish.metric, terminal_width()):
                click.echo(line)
        for line in bench.closing(evaluations):
            run.say(line)


class _Bench:
    """What is learned from, what is tested on, and what is evaluated."""

    def __init__(self, ctx: click.Context, wish: Wish, run: TerminalRun) -> None:
        self.wish, self.run = wish, run
        self._plugins = registry(ctx).plugins()
        self.left_out: dict[str, str] = {}
        self.baselines: set[str] = set()
        self._models = {name: open_model(path) for name, path in _named(wish).items()}
        self._plans = {name: self._plan(name) for name in wish.trainers}
        self.train: Corpus | None = None
        if wish.trainers or wish.split:
            self.train, self.test = self._read()
        else:
            self.test = self._given_test()
        self._tell_test()

    def _plan(self, trainer: str | None, **more: Any) -> Plan:
        from embedkit.training import make_plan

        assert self.wish.source is not None
        values = {**self.wish.values, **(self.wish.settings[trainer] if trainer else {}), **more}
        return make_plan(self.wish.source, trainer, values, self._plugins)

    def _read(self) -> tuple[Corpus, HeldOut]:
        """Read the source, and hold a part out unless a test is given."""
        from embedkit.evaluation import SPLITS

        plan = next(iter(self._plans.values()), None) or self._plan(None)
        if plan.on_sample:
            self.run.say(f"No --input, so source {plan.source.name} reads its own sample.")
        timer = Timer()
        corpus = plan.read(self.run)
        for note in plan.source.notes:
            self.run.say(note)
        tell_corpus(self.run.say, corpus, timer.lap())
        if self.wish.split is None:
            return corpus, self._given_test()
        parts = SPLITS[self.wish.split](corpus, **self.wish.split_options)
        if self.wish.split_output is not None:
            from embedkit.evaluation import write_split

            layout: Any = self.wish.split_layout
            paths = write_split(parts, self.wish.split_output, layout, _WORDS)
            self.run.say(f"Wrote {paths[0]} and {paths[1]}.")
        self.run.say(
            f"Split {self.wish.split}: {plural(parts.train.n_tokens, 'interaction')} to learn from, "
            f"{len(parts.test.targets.indices):,} to find."
        )
        return parts.train, parts.test

    def _given_test(self) -> HeldOut:
        from embedkit.evaluation import HeldOut, read_lines, read_prefixes

        path, layout = self.wish.test, self.wish.test_layout
        assert path is not None
        if layout == "lines":
            return read_lines(path)
        if layout == "prefix-target":
            return read_prefixes(path)
        # A trainer's name makes no difference to reading; rare items are for the model to know, not for the test.
        return HeldOut.from_corpus(self._plan(None, input=(str(path),), min_count=1).read(self.run))

    def _tell_test(self) -> None:
        one, many = ("user", "users") if self.test.prefixes is None else ("prefix", "prefixes")
        rows = f"{len(self.test):,} {one if len(self.test) == 1 else many}"
        notes = f"; set aside: {reasons(self.test.notes).replace('key', _WORDS[0])}" if self.test.notes else ""
        self.run.say(f"Test: {rows} with {plural(len(self.test.targets.indices), 'target')}{notes}.")

    def evaluations(self) -> list[Evaluation]:
        """Evaluate baselines, models and trainers, in this order."""
        from embedkit.evaluation import evaluate
        from embedkit.evaluation.matching import describe

        done: list[Evaluation] = []
        told: dict[str, str] = {}
        for name, make in self._systems():
            timer = Timer()
            system = make()
            made = timer.lap()
            found = evaluate(system, self.test, self.wish.cutoffs, name=name, run=self.run, **self.wish.options)
            done.append(found)
            ready = f"ready in {duration(made)}, " if made >= 0.05 else ""
            self.run.say(f"{name}: {ready}ranked {plural(len(found.rows), 'row')} in {duration(found.seconds)}.")
            seen, fallback = self.wish.options["include_seen"], self.wish.options["fallback"] is not None
            for line in describe(found.counts, include_seen=seen, fallback=fallback, words=_WORDS):
                told.setdefault(line, name)
        for line, name in told.items():
            self.run.say(line if name == done[0].name else f"{name}: {line}")
        for name, why in self.left_out.items():
            remedy = " (--ease-limit)" if "limit" in why else ""
            self.run.say(f"{name} is left out: {why}{remedy}.")
        return done

    def _systems(self) -> Iterator[tuple[str, Callable[[], Embeddings | Ranker]]]:
        """Yield names, and what makes what they stand for."""
        from embedkit.evaluation.baselines import baselines, ease_seconds

        part = self._train_part()
        if part is not None:
            kinds, self.left_out = baselines(part, most_ease_tokens=self.wish.ease_limit)
            self.baselines = {kind.name for kind in kinds}
            for kind in kinds:
                if kind.name == "EASE" and len(part.tokens) > _MANY:
                    seconds = ease_seconds(len(part.tokens))
                    self.run.say(f"EASE: inverting a matrix of {len(part.tokens):,} items, about {seconds:.0f} s ...")
                yield kind.name, lambda kind=kind: kind(part)  # type: ignore[misc]
        for name, model in self._models.items():
            yield name, lambda model=model: model  # type: ignore[misc]
        for name, plan in self._plans.items():
            yield name, lambda plan=plan: self._trained(plan)  # type: ignore[misc]

    def _trained(self, plan: Plan) -> Embeddings:
        assert self.train is not None
        self.run.close()
        with TerminalRun(self.run.work_dir, getattr(plan.trainer_options, "epochs", None)) as run:
            return plan.train(self.train, run)

    def _train_part(self) -> TrainPart | None:
        """Return what the baselines learn from: what the trainers do, else what the first model remembers."""
        from embedkit.evaluation import TrainPart

        if self.train is not None:
            return TrainPart.of_corpus(self.train, by_sentence=self.test.prefixes is not None)
        name, model = next(iter(self._models.items()))
        part = TrainPart.of_model(model)
        if part is None:
            self.left_out = dict.fromkeys(_BASELINES, f"{name} holds no counts and no histories")
        elif len(self._models) > 1:
            self.run.say(f"The baselines learn from the histories in {name}.")
        return part

    def closing(self, evaluations: Sequence[Evaluation]) -> Iterator[str]:
        """Yield how the best stands against the best baseline, and what to do next."""
        from embedkit.evaluation import difference

        measure = f"{self.wish.metric}@{evaluations[0].cutoffs[-1]}"
        systems = [e for e in evaluations if e.name not in self.baselines]
        best = max(systems, key=lambda e: e[measure], default=None)
        if best is None:
            return
        beaten = max((e for e in evaluations if e.name in self.baselines), key=lambda e: e[measure], default=None)
        if beaten is not None:
            apart = difference(best, beaten, measure)
            yield _verdict(best, beaten, measure, apart)
            others = [name for name in self._plugins.trainers if name not in self.wish.trainers]
            if apart.low <= 0 and self.wish.trainers and others:
                yield f"Next: compare others with --trainer {' --trainer '.join(others)}, or options with --set."
                return
        yield f"Next: {self._next(best.name)}"

    def _next(self, best: str) -> str:
        if best in self._models:
            return next_command(self._models[best], _named(self.wish)[best])
        options = {**self.wish.values, **self.wish.settings[best]}
        return train_command(str(self.wish.source), best, options)


def train_command(source: str, trainer: str, options: Mapping[str, Any]) -> str:
    """Return the command that trains on all of the source as it was done on a part, as it is typed into a shell.

    The value of an option that is secret is left for the reader to fill in: `***`.
    """
    from embedkit.options import describe
    from embedkit.plugins import load_plugins

    words = ["embedkit", "train", "--source", source, "--trainer", trainer]
    secret = {spec.name for spec in describe(load_plugins().source(source).Options) if spec.secret}
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if name in secret:
            words += [flag, "***"]
        elif isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            many = value if isinstance(value, tuple | list) else (value,)
            words += [word for one in many for word in (flag, str(one))]
    return shlex.join(words)


def _named(wish: Wish) -> dict[str, Path]:
    """Return models by the names of their files, by their paths where something else has that name."""
    stems = [path.stem for path in wish.models]
    taken = {*wish.trainers, *_BASELINES, *(stem for stem in stems if stems.count(stem) > 1)}
    return {str(path) if path.stem in taken else path.stem: path for path in wish.models}


def _verdict(best: Evaluation, baseline: Evaluation, measure: str, apart: Interval) -> str:
    by = f"{decimals(abs(apart.mean))} ± {decimals(apart.half_width)}"
    if apart.low > 0:
        return f"{best.name} is ahead of {baseline.name} by {by} in {measure}, row by row."
    if apart.high < 0:
        return f"{best.name} is behind {baseline.name} by {by} in {measure}, row by row: no gain over a baseline here."
    return f"{best.name} and {baseline.name} cannot be told apart in {measure}: they differ by {by}, row by row."
