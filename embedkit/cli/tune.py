"""`embedkit tune`: which trainer with which options finds best what is held out of a source."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli import completion
from embedkit.cli.comparison import split_options, train_command, trainer_settings
from embedkit.cli.evaluate import RecommendationsCommand
from embedkit.cli.failures import Interrupted
from embedkit.cli.flags import given_values
from embedkit.cli.model import FILE
from embedkit.cli.registry import registry
from embedkit.cli.report import Timer, duration, plural, tell_corpus
from embedkit.cli.scores import FORMATS, decimals
from embedkit.cli.stopping import SPLITS, validation_flags, validation_of
from embedkit.cli.table import terminal_width, wrapped
from embedkit.cli.terminal import TerminalRun
from embedkit.cli.train import spec_flags
from embedkit.errors import OptionError, UnknownNameError

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.training import Plan
    from embedkit.tuning import Trial, Tuning

_SHOWN = 10
_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


class Duration(click.ParamType):
    """A time as people write it, in seconds: `90`, `90s`, `10min`, `1.5h`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value).strip().lower())
        if not found or (found[2] or "s") not in _UNITS or not float(found[1]):
            self.fail(f"{value!r} is no time; write 90s, 10min or 2h.", param, ctx)
        return float(found[1]) * _UNITS[found[2] or "s"]


_flag = click.option


@click.command(cls=RecommendationsCommand)
@_flag(
    "--source", metavar="NAME", help="What to learn from; it has flags of its own.", shell_complete=completion.sources
)
@_flag("--trainer", "trainers", multiple=True, metavar="NAME", shell_complete=completion.trainers,
       help="A trainer to try; repeatable. Without it, all that say where to search for their options.")  # fmt: skip
@_flag("--set", "settings", multiple=True, metavar="TRAINER.OPTION=VALUE",
       help="An option that is fixed and not searched; repeatable.")  # fmt: skip
@_flag("--metric", default="ndcg@20", show_default=True, metavar="METRIC@K", help="What is to be as high as possible.")
@_flag("--trials", type=int, metavar="INT",
       help="Try until the study has so many.  [default: 20, where there is no --time-budget]")  # fmt: skip
@_flag("--time-budget", type=Duration(), metavar="TIME", help="Try for so long: 90s, 10min, 2h.")
@_flag("--study", type=FILE, metavar="FILE", help="Keep the trials in this SQLite file, and go on from there.")
@_flag(
    "--prune/--no-prune",
    default=True,
    help="Give up trials that are far behind others at the same point.  [default: prune]",
)
@_flag("--seed", type=int, metavar="INT", help="For all that is drawn.  [default: 1]")
@validation_flags("Validation")
@_flag(
    "--split", type=click.Choice(SPLITS), help="First set a test aside as embedkit evaluate does; it is not looked at."
)
@_flag("--share", type=float, metavar="NUMBER", help="How much that is.")
@_flag("--until", metavar="MOMENT", help="With by-time: it is what happened from then on, such as 2013-10-01.")
@_flag("--test", type=FILE, metavar="FILE", help="The test for the command at the end; it is not looked at.")
@_flag("--format", "form", type=click.Choice(FORMATS), default="table", help="JSON or CSV for a program.")
@click.pass_context
def tune(ctx: click.Context, /, **params: Any) -> None:
    """Search for the trainer and the options that recommend best what is held out.

    A part of the source is held out, trainers learn from the rest with one setting after the other, and the best
    ones are shown with the command that trains with them. Ctrl-C ends the search with what was found so far.
    """
    _check(params)
    _Tune(ctx, params).run()


def _check(params: Mapping[str, Any]) -> None:
    """Refuse wrong calls before anything is read."""
    from embedkit.evaluation import Measure
    from embedkit.tuning.study import check_file, require_optuna

    if params["source"] is None:
        raise click.UsageError("say what to learn from: --source NAME.")
    if params["split"] and params["test"]:
        raise click.UsageError("--split and --test exclude each other: set something aside, or have a test of its own.")
    if params["trials"] is not None and params["trials"] < 1:
        raise click.UsageError(f"--trials must be at least 1; got {params['trials']}.")
    Measure.parse(params["metric"])
    require_optuna()
    if params["study"] is not None:
        check_file(params["study"])


class _TrialRun(TerminalRun):
    """Says in its bar which trainer is tried."""

    def __init__(self, trainer: str, epochs: int | None) -> None:
        super().__init__(epochs=epochs)
        self._trainer = trainer

    def _phase(self, learning: bool, unit: str) -> str:
        return f"{self._trainer} {super()._phase(learning, unit)}" if learning else self._trainer


class _Tune:
    """The search of one call: what it reads, what it tells."""

    def __init__(self, ctx: click.Context, params: dict[str, Any]) -> None:
        self._params = params
        self._plugins = registry(ctx).plugins()
        self._plugins.source(params["source"])
        # What is like the test tells most about it.
        held_out = {**params, "validation": params["validation"] or params["split"]}
        self._validation = validation_of(held_out, params["seed"])
        self._split = split_options(params["split"], params)
        self._values = given_values(spec_flags(ctx), params)
        self._trainers = self._names(ctx)
        self._settings = trainer_settings(ctx, params["settings"], self._trainers, {})
        self._check_settings()
        self._run = TerminalRun()

    def _names(self, ctx: click.Context) -> list[str]:
        """Return the trainers that are tried."""
        from embedkit.tuning.space import candidates

        try:
            return [candidate.name for candidate in candidates(self._plugins, self._params["trainers"], {})]
        except UnknownNameError as error:
            raise click.UsageError(str(error), ctx) from error

    def _fixed(self) -> dict[str, Any]:
        return {f"{t}.{name}": value for t, values in self._settings.items() for name, value in values.items()}

    def _check_settings(self) -> None:
        """Refuse values that their options do not take, by what was typed."""
        from embedkit.tuning.space import candidates

        try:
            candidates(self._plugins, self._trainers, self._fixed())
        except OptionError as error:
            option = error.option.rpartition(".")[2]
            named = {text.partition("=")[0].replace("-", "_"): text for text in self._params["settings"]}
            typed = named.get(error.option.replace("-", "_")) or named.get(option) or error.option
            raise click.UsageError(f"--set {typed}: {option.replace('_', '-')} {error.problem}") from error

    def run(self) -> None:
        """Search, then print what was found."""
        from embedkit.tuning import tune

        try:
            corpus = self._corpus()
            found = tune(
                corpus,
                trainers=self._trainers,
                metric=self._params["metric"],
                trials=self._params["trials"],
                time_budget=self._params["time_budget"],
                study=self._params["study"],
                validation=self._validation,
                prune=self._params["prune"],
                seed=self._params["seed"],
                plugins=self._plugins,
                make_run=self._next_run,
                on_trial=self._tell,
                **self._fixed(),
            )
        finally:
            self._run.close()
        if found.interrupted and not found.ranked:
            raise Interrupted(self._interrupted(found))
        self._print(found)
        if found.interrupted:
            raise Interrupted(self._interrupted(found))

    def _corpus(self) -> Corpus:
        """Read the source, and set a test aside where that is asked for."""
        from embedkit.evaluation import SPLITS as BY_NAME

        plan = self._plan()
        if plan.on_sample:
            self._run.say(f"No --input, so source {plan.source.name} reads its own sample.")
        timer = Timer()
        corpus = plan.read(self._run)
        for note in plan.source.notes:
            self._run.say(note)
        tell_corpus(self._run.say, corpus, timer.lap())
        split = self._params["split"]
        if split is None:
            return corpus
        parts = BY_NAME[split](corpus, **self._split)
        self._run.say(f"Set aside as a test by {split}: {plural(len(parts.test.targets.indices), 'interaction')}.")
        return parts.train

    def _plan(self) -> Plan:
        from embedkit.options import describe
        from embedkit.training import make_plan

        source = self._plugins.source(self._params["source"])
        seeds = {"seed"} & {spec.name for spec in describe(source.Options)} if self._params["seed"] is not None else {}
        return make_plan(source, None, {**self._values, **{name: self._params[name] for name in seeds}}, self._plugins)

    def _next_run(self, trainer: str, epochs: int | None) -> TerminalRun:
        self._run.close()
        self._run = _TrialRun(trainer, epochs) if trainer else TerminalRun()
        return self._run

    def _tell(self, trial: Trial, found: Tuning) -> None:
        """Tell of a trial that is over, in a line."""
        from embedkit.tuning.search import TRIALS

        limit = self._params["trials"] or (None if self._params["time_budget"] else TRIALS)
        number = f"{trial.number} of {limit}" if limit and trial.number <= limit else f"{trial.number}"
        value = decimals(trial.value) if trial.value is not None else ""
        what = {"complete": f"{found.measure} {value}", "hopeless": f"given up at {value}"}
        best = f"; best {decimals(found.best.value or 0)} (trial {found.best.number})" if found.ranked else ""
        told = what.get(trial.state, f"{trial.state}: {trial.reason.rstrip('.')}")
        defaults = " with its defaults" * trial.defaults
        self._run.say(f"Trial {number}, {trial.trainer}{defaults}: {told}{best}; {duration(trial.seconds)}.")

    def _print(self, found: Tuning) -> None:
        command = self._command(found.best)
        form = self._params["form"]
        if form == "json":
            click.echo(_as_json(found, command))
        elif form == "csv":
            click.echo(_as_csv(found), nl=False)
        else:
            for line in wrapped(self._rows(found), terminal_width()):
                click.echo(line)
        self._run.say(_counts(found.trials))
        over = {trial.trainer for trial in found.trials if trial.state not in ("stopped", "unfinished")}
        if untried := [name for name in self._trainers if name not in over]:
            self._run.say(f"Not tried to an end, for want of time or trials: {', '.join(untried)}.")
        self._run.say(_beside_defaults(found))
        if test := self._test_command(found.best):
            self._run.say(f"On the test: {test}")
        self._run.say(f"Next: {command}")

    def _rows(self, found: Tuning) -> list[tuple[str, ...]]:
        """Return the cells of the best trials under a header."""
        rows: list[tuple[str, ...]] = [("trial", found.measure, "±", "trainer", "time", "options")]
        for trial in found.ranked[:_SHOWN]:
            half = decimals(float("nan") if trial.half_width is None else trial.half_width)
            fixed = {*self._settings.get(trial.trainer, {}), "seed"}
            tried = " ".join(f"{name}={value}" for name, value in trial.options.items() if name not in fixed)
            cells = str(trial.number), decimals(trial.value or 0.0), half, trial.trainer, duration(trial.seconds)
            rows.append((*cells, tried or "defaults"))
        return rows

    def _options(self, trial: Trial) -> dict[str, Any]:
        """Return what `train` is to be given besides the source and the trainer."""
        seed = {} if self._params["seed"] is None else {"seed": self._params["seed"]}
        return {**self._values, **seed, **trial.options}

    def _command(self, trial: Trial) -> str:
        return train_command(self._params["source"], trial.trainer, self._options(trial))

    def _test_command(self, trial: Trial) -> str | None:
        """Return the command that evaluates a trial's options on the test that was set aside, if one was."""
        names = ("split", "share", "until", "test")
        given = {name: self._params[name] for name in names if self._params[name] is not None}
        if not {"split", "test"} & set(given):
            return None
        given |= {"seed": self._params["seed"]} if self._params["seed"] is not None else {}
        metric, _, given["k"] = self._params["metric"].partition("@")
        words = train_command(self._params["source"], trial.trainer, {**self._values, **given, "metric": metric})
        words += " --include-seen" * self._params["include_seen"]
        settings = [f"{trial.trainer}.{name}={value}" for name, value in trial.options.items() if name != "seed"]
        line = words.replace("embedkit train", "embedkit evaluate recommendations", 1)
        return " ".join([line, *(f"--set {shlex.quote(setting)}" for setting in settings)])

    def _interrupted(self, found: Tuning) -> str:
        study = self._params["study"]
        kept = f"the same command goes on from {study}" if study else "--study FILE would have kept them"
        return f"interrupted after {plural(len(found.ranked), 'complete trial')}; {kept}."


def _counts(trials: Sequence[Trial]) -> str:
    from embedkit.tuning.trials import counted

    words = {
        "complete": "complete",
        "hopeless": "given up as hopeless",
        "failed": "failed",
        "stopped": "broken off",
        "unfinished": "without an end",
    }
    parts = [f"{number} {words[state]}" for state, number in counted(trials).items()]
    return f"{plural(len(trials), 'trial')}: {', '.join(parts)}."


def _beside_defaults(found: Tuning) -> str:
    """Return how the best stands beside the best trial with defaults."""
    best = found.best
    plain = next((trial for trial in found.ranked if trial.defaults), None)
    if plain is None:
        return f"The best is {best.trainer}; no trial with defaults is complete."
    if plain.number == best.number:
        return f"Nothing was better than the defaults of {best.trainer}."
    told = f"The best defaults, those of {plain.trainer}, reach {decimals(plain.value or 0)}"
    if (best.value or 0) - (plain.value or 0) <= (best.half_width or 0):
        return f"{told}: within ± of the best, so the gain may be chance."
    return f"{told}."


def _as_json(found: Tuning, command: str) -> str:
    """Return all trials, the best one's number and the command that trains with its options."""
    told = {
        "metric": found.measure,
        "trials": [{**vars(trial), "options": dict(trial.options)} for trial in found.trials],
        "best": found.best.number,
        "command": command,
    }
    return json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False)


def _as_csv(found: Tuning) -> str:
    """Return a row a trial; its options are JSON in one column."""
    text = io.StringIO()
    rows = [{**vars(trial), "options": json.dumps(dict(trial.options))} for trial in found.trials]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
