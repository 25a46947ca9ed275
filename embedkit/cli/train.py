"""`embedkit train`: its flags are those of the chosen source and trainer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli import completion
from embedkit.cli.checkpointing import checkpoint_flags, checkpoint_of
from embedkit.cli.dividing import engine_flags, engine_of
from embedkit.cli.failures import Interrupted
from embedkit.cli.flags import SpecFlag, given_values, look_ahead, repeat_flags
from embedkit.cli.interrupts import Saving, deaf
from embedkit.cli.model import DEFAULT_MODEL, FILE, refuse_to_replace_other
from embedkit.cli.registry import registry
from embedkit.cli.stopping import stopping_flags, stopping_of
from embedkit.errors import EmbedkitError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from embedkit.checkpoints import Checkpoint
    from embedkit.cli.terminal import TerminalRun
    from embedkit.evaluation import EarlyStopping
    from embedkit.training import Plan


_GROUPS = "embedkit.cli.train.groups"


class SourceCommand(click.Command):
    """A command whose flags depend on the source, and on the trainer where it has one, that `args` name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look ahead for the source and the trainer, and parse with their flags."""
        try:
            ctx.meta[_GROUPS] = self.groups(ctx, args)
        except UnknownNameError as error:
            if not ctx.resilient_parsing:
                raise click.UsageError(str(error), ctx) from error
        try:
            return super().parse_args(ctx, repeat_flags(args, spec_flags(ctx)))
        except click.NoSuchOption as error:
            raise click.UsageError(self._refusal(ctx, error.option_name), ctx) from error

    def groups(self, ctx: click.Context, args: Sequence[str]) -> dict[str, list[SpecFlag]]:
        """Return the flags that go with `args`, under the headings of the help."""
        raise NotImplementedError

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own flags and those of the source and the trainer."""
        return [*super().get_params(ctx), *spec_flags(ctx)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags in groups."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in super().get_params(ctx):
            if not isinstance(param, click.Argument) and (record := param.get_help_record(ctx)):
                sections.setdefault(getattr(param, "section", "Options"), []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)
        for heading, flags in ctx.meta.get(_GROUPS, {}).items():
            if flags:
                with formatter.section(heading):
                    formatter.write_dl([flag.get_help_record(ctx) for flag in flags])

    def _refusal(self, ctx: click.Context, flag: str) -> str:
        for kind, name, flags in self.flags_of_others(ctx):
            if flag in flags:
                return f"{flag} is a flag of {kind} {name!r}, which was not chosen"
        known = [name for p in self.get_params(ctx) for name in (*p.opts, *p.secondary_opts) if name.startswith("-")]
        return f"there is no flag {flag}.{did_you_mean(flag, known)}"

    def flags_of_others(self, ctx: click.Context) -> Iterator[tuple[str, str, set[str]]]:
        """Yield kind, name and flags of whatever could have been chosen."""
        from embedkit.options import describe

        plugins = registry(ctx).plugins()
        for kind, registered in (("source", plugins.sources), ("trainer", plugins.trainers)):
            for name, thing in registered.items():
                yield kind, name, {spec.flag for spec in describe(thing.Options)}


def spec_flags(ctx: click.Context) -> list[SpecFlag]:
    """Return the flags that the chosen source and trainer brought."""
    return [flag for flags in ctx.meta.get(_GROUPS, {}).values() for flag in flags]


class TrainCommand(SourceCommand):
    """`train`, with the flags of the source, the corpus and the trainer."""

    def groups(self, ctx: click.Context, args: Sequence[str]) -> dict[str, list[SpecFlag]]:
        """Return the flags under the headings of the help; without a source, only the corpus's."""
        from embedkit.options import describe
        from embedkit.training import CorpusOptions, option_specs, trainer_name

        source_name = look_ahead(args, "--source")
        given_trainer = look_ahead(args, "--trainer")
        asks_help = {"-h", "--help"} & set(args)
        plugins = registry(ctx).plugins()
        if source_name is None:
            if not asks_help and not ctx.resilient_parsing:
                names = " or ".join(f"--source {name}" for name in sorted(plugins.sources)) or "none is installed"
                raise click.UsageError(f"say where the sentences come from: {names}.", ctx)
            specs = {"Options of the corpus": describe(CorpusOptions)}
            if given_trainer:
                specs[f"Options of trainer {given_trainer}"] = describe(plugins.trainer(given_trainer).Options)
        else:
            source = plugins.source(source_name)
            trainer = plugins.trainer(trainer_name(source, given_trainer))
            by_kind = option_specs(source, trainer)
            specs = {
                f"Options of source {source.name}": tuple(by_kind["source"]),
                "Options of the corpus": tuple(by_kind["corpus"]),
                f"Options of trainer {trainer.name}": tuple(by_kind["trainer"]),
            }
        return flags_once(specs)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say how to see the flags of a source, and which sources and trainers there are."""
        plugins = registry(ctx).plugins()
        formatter.write_paragraph()
        formatter.write_text(f"Sources: {', '.join(sorted(plugins.sources)) or 'none'}.")
        formatter.write_text(f"Trainers: {', '.join(sorted(plugins.trainers)) or 'none'}.")
        formatter.write_text("A source and a trainer have options of their own: embedkit train --source NAME --help.")


def flags_once(specs: dict[str, Any]) -> dict[str, list[SpecFlag]]:
    """Make flags; a name that both the source and the trainer declare (`seed`, `workers`) is one flag."""
    met: set[str] = set()
    groups: dict[str, list[SpecFlag]] = {}
    for heading, described in specs.items():
        groups[heading] = [SpecFlag(spec) for spec in described if spec.name not in met]
        met |= {spec.name for spec in described}
    return groups


@click.command(cls=TrainCommand)
@click.option("--source", metavar="NAME", help="Where the sentences come from.", shell_complete=completion.sources)
@click.option(
    "--trainer",
    metavar="NAME",
    help="How vectors are learned from them; a source has its favourite.",
    shell_complete=completion.trainers,
)
@click.option(
    "--output", metavar="FILE", default=DEFAULT_MODEL, show_default=True, help="The model file to write.", type=FILE
)
@stopping_flags
@checkpoint_flags
@engine_flags
@click.pass_context
def train(ctx: click.Context, /, source: str, trainer: str | None, output: Path, **params: Any) -> None:
    """Learn vectors from a source of sentences and write them to one file.

    Without --input a source reads its own small sample.
    """
    from embedkit.cli.terminal import TerminalRun
    from embedkit.embeddings import check_writable
    from embedkit.memory import check_beginning, one_heap
    from embedkit.training import check_divides, make_plan

    one_heap()
    check_beginning()
    plan = make_plan(source, trainer, given_values(spec_flags(ctx), params), registry(ctx).plugins())
    stopping = stopping_of(params, getattr(plan.trainer_options, "seed", None))
    if stopping is not None:
        stopping.check(plan.trainer)
    checkpoint = checkpoint_of(params)
    if checkpoint is not None:
        checkpoint.check(plan.trainer)
        checkpoint.prepare()
    if params["engine"] is not None:
        check_divides(plan.trainer, plan.trainer_options, stopping is not None, checkpoint is not None)
    check_writable(output)
    refuse_to_replace_other(output)
    work_dir = plan.corpus_options.work_dir
    run = TerminalRun(
        work_dir=Path(work_dir) if work_dir else None, epochs=getattr(plan.trainer_options, "epochs", None)
    )
    with run, engine_of(params) as run.engine:
        _run_plan(plan, run, output, stopping, checkpoint)


def _run_plan(
    plan: Plan, run: TerminalRun, output: Path, stopping: EarlyStopping | None, checkpoint: Checkpoint | None
) -> None:
    from embedkit.cli.report import Timer, tell_corpus, tell_result
    from embedkit.corpus.workdir import check_room

    if plan.on_sample:
        run.say(f"No --input, so source {plan.source.name} reads its own sample.")
    timer = Timer()
    saving = Saving(output)
    try:
        corpus = plan.read(run)
        for note in plan.source.notes:
            run.say(note)
        tell_corpus(run.say, corpus, timer.lap())
        size = 0 if plan.trainer.name == "spectral" else getattr(plan.trainer_options, "vector_size", 0)
        vectors = 4 * size * len(corpus.tokens)  # at least; spectral's may have fewer numbers than asked for
        check_room(output.absolute().parent, vectors, f"the model {output}", "--output")
        embeddings = plan.train(corpus, run, stopping, checkpoint)
        run.snapshot = lambda: embeddings
        saving.begin()
        embeddings.save(output)
        if checkpoint is not None:
            checkpoint.clear()
    except KeyboardInterrupt as interrupt:
        with deaf():
            if saving.done:
                raise Interrupted(f"interrupted when {output} was saved already: it is whole.") from interrupt
            goes_on = "; --resume goes on" if checkpoint is not None and checkpoint.path.exists() else ""
            raise Interrupted(f"{_save_partial(run, output)}{goes_on}.") from interrupt
    run.close()
    if (partial := _partial(output)).exists():
        run.say(f"{partial} is what an interrupted training had learned; remove it when you need it no more.")
    tell_result(run.say, embeddings, output, timer.lap())


def _save_partial(run: TerminalRun, output: Path) -> str:
    """Save what was learned before Ctrl-C beside `output`; return what to tell about it, without the full stop."""
    from embedkit.cli.report import plural

    untouched = f"; {output} is as it was" if output.exists() else ""
    if run.snapshot is None:
        return f"interrupted before anything was learned: nothing is saved{untouched}"
    partial = _partial(output)
    run.close()
    try:
        run.snapshot().save(partial)
    except EmbedkitError as error:
        return f"interrupted; nothing is saved: {str(error).rstrip('.')}{untouched}"
    epochs = f" ({plural(run.epochs_done, 'epoch')} complete)" if run.epochs_done else ""
    return f"interrupted: what was learned so far{epochs} is saved as {partial}{untouched}"


def _partial(output: Path) -> Path:
    """Return where what was learned before Ctrl-C is saved."""
    return output.with_name(output.name + ".partial")
