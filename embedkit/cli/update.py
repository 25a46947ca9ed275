"""`embedkit update`: a trained model goes on with new sentences; its flags are the source's, and few of its trainer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli import completion
from embedkit.cli.checkpointing import checkpoint_flags, checkpoint_of
from embedkit.cli.failures import Interrupted
from embedkit.cli.flags import SpecFlag, given_values, look_ahead
from embedkit.cli.interrupts import Saving
from embedkit.cli.model import DEFAULT_MODEL, ENVIRONMENT, FILE, model_option, open_model, refuse_to_replace_other
from embedkit.cli.registry import registry
from embedkit.cli.train import SourceCommand, flags_once, spec_flags
from embedkit.errors import ModelError

if TYPE_CHECKING:
    from embedkit.checkpoints import Checkpoint
    from embedkit.cli.terminal import TerminalRun
    from embedkit.contracts import Source
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings
    from embedkit.growing.updating import Growth
    from embedkit.training import CorpusOptions

_FIXED = "embedkit.cli.update.fixed"


class UpdateCommand(SourceCommand):
    """`update`, with the flags of the source, and those of the model's trainer that an update may have of its own."""

    def groups(self, ctx: click.Context, args: Sequence[str]) -> dict[str, list[SpecFlag]]:
        """Return the flags under the headings of the help; without a model, none of a trainer."""
        from embedkit.growing.updating import FREE, trainer_of
        from embedkit.options import describe
        from embedkit.training import CorpusOptions, option_specs

        plugins = registry(ctx).plugins()
        source_name = look_ahead(args, "--source")
        asks_help = {"-h", "--help"} & set(args)
        if source_name is None and not asks_help and not ctx.resilient_parsing:
            names = " or ".join(f"--source {name}" for name in sorted(plugins.sources)) or "none is installed"
            raise click.UsageError(f"say where the new sentences come from: {names}.", ctx)
        path = Path(look_ahead(args, "--model") or os.environ.get(ENVIRONMENT) or DEFAULT_MODEL)
        trainer = None
        if path.exists() or not (asks_help or ctx.resilient_parsing):
            trainer = trainer_of(open_model(path), plugins)
        specs: dict[str, Any] = {}
        if source_name is not None:
            source = plugins.source(source_name)
            by_kind = option_specs(source, trainer or plugins.trainer("skipgram"))
            specs[f"Options of source {source.name}"] = tuple(by_kind["source"])
        specs["Options of the corpus"] = [replace(spec, default=None) for spec in describe(CorpusOptions)]
        if trainer is not None:
            described = describe(trainer.Options)
            specs[f"Options of trainer {trainer.name}"] = [
                replace(spec, default=None) for spec in described if spec.name in FREE
            ]
            ctx.meta[_FIXED] = {spec.flag for spec in described if spec.name not in FREE}
        return flags_once(specs)

    def _refusal(self, ctx: click.Context, flag: str) -> str:
        if flag in ctx.meta.get(_FIXED, ()):
            return f"{flag} is the model's, and no update changes it; leave it out, or train anew"
        if flag == "--early-stopping":
            return f"{flag} is not for updates, which are short; --epochs says how long they learn"
        return super()._refusal(ctx, flag)

    def flags_of_others(self, ctx: click.Context) -> Iterator[tuple[str, str, set[str]]]:
        """Yield what other sources have; the trainer is the model's."""
        yield from (other for other in super().flags_of_others(ctx) if other[0] == "source")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where the other options come from."""
        formatter.write_paragraph()
        formatter.write_text("Options that are not given, and all others of the trainer, are those of the model.")


@click.command(cls=UpdateCommand)
@model_option
@click.option("--source", metavar="NAME", help="Where the new sentences come from.", shell_complete=completion.sources)
@click.option("--output", metavar="FILE", type=FILE, help="The model file to write.  [default: the model itself]")
@click.option(
    "--drift", type=float, default=1.0, show_default=True, metavar="NUMBER",
    help="Multiply the ways of the model's tokens by this: 0, and they stay as they are, to 1.",
)  # fmt: skip
@click.option("--again", is_flag=True, help="Learn from sentences though the model has done so before.")
@checkpoint_flags
@click.pass_context
def update(
    ctx: click.Context, /, model: Path, source: str, output: Path | None, drift: float, again: bool, **params: Any
) -> None:
    """Let a trained model learn from new sentences, as those of a day.

    New tokens and keys join, counts and histories go on, and the model's own trainer goes on from its vectors. When all
    is done, the model is replaced.
    """
    from embedkit.memory import check_beginning, one_heap

    one_heap()
    check_beginning()
    place = Place(model, output or model)
    with place.held():
        _update(ctx, place, source, drift, again, params)


def _update(ctx: click.Context, place: Place, source: str, drift: float, again: bool, params: dict[str, Any]) -> None:
    """Check everything that can be checked before the reading, then read, learn and save."""
    from embedkit.cli.terminal import TerminalRun
    from embedkit.embeddings import check_writable
    from embedkit.growing.notes import clear_left
    from embedkit.growing.updating import FREE, plan_growth, plan_reading

    plugins = registry(ctx).plugins()
    given = given_values(spec_flags(ctx), params)
    place.look()
    free = {name: value for name, value in given.items() if name in FREE}
    growth = plan_growth(open_model(place.model), free, drift, plugins, again=again)
    new, corpus_options = plan_reading(growth, source, given, plugins)
    checkpoint = checkpoint_of(params)
    work_dir = Path(corpus_options.work_dir) if corpus_options.work_dir else None
    run = TerminalRun(work_dir=work_dir, epochs=getattr(growth.options, "epochs", None))
    if checkpoint is not None:
        checkpoint.check(growth.trainer)
        clear_left(checkpoint, growth.model, run)
        checkpoint.prepare()
    check_writable(place.output)
    refuse_to_replace_other(place.output)
    with run:
        _run(growth, new, corpus_options, run, checkpoint, place)


class Place:
    """The model that is read, and where the grown one is written."""

    def __init__(self, model: Path, output: Path) -> None:
        self.model, self.output = model, output
        self._checksum, self._number = "", -1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other updates away from a model that is to be replaced, as one of the two would be lost."""
        from embedkit.embeddings.replacing import locked

        if not (self.model.is_file() and self.in_place):
            yield
            return
        with locked(self.model) as free:
            if not free:
                raise ModelError(f"another update of {self.model} is running: wait for its end, and call this again.")
            yield

    def look(self) -> None:
        """Check that the model is whole, as what is made of it gets a checksum of its own."""
        from embedkit.embeddings import verify

        self._number = self.model.stat().st_ino
        self._checksum = verify(self.model).checksum

    def _is_same_file(self) -> bool:
        """Tell whether the file is the one that was looked at, not another in its place: the old one is whole then."""
        return self.model.exists() and self.model.stat().st_ino == self._number

    @property
    def in_place(self) -> bool:
        """Whether the grown model replaces the one that is read."""
        return self.output.exists() and self.output.samefile(self.model)

    def save(self, grown: Embeddings) -> None:
        """Write the grown model, unless somebody has changed the model that it would replace."""
        from embedkit.embeddings import info

        if (self.in_place or self._is_same_file()) and info(self.model).checksum != self._checksum:
            raise ModelError(f"{self.model} was changed by somebody else meanwhile; it stays so. Update it again.")
        grown.save(self.output)


def _run(
    growth: Growth,
    source: Source,
    options: CorpusOptions,
    run: TerminalRun,
    checkpoint: Checkpoint | None,
    place: Place,
) -> None:
    from embedkit.cli.report import Timer, tell_corpus, tell_result
    from embedkit.embeddings.index import path_of
    from embedkit.growing.updating import read_new

    timer, saving = Timer(), Saving(place.output)
    try:
        corpus = read_new(growth, source, options, run)
        for note in source.notes:
            run.say(note)
        tell_corpus(run.say, corpus, timer.lap())
        if checkpoint is not None and checkpoint.resume and place.in_place and _is_done(growth, corpus):
            run.say(f"{place.model} learned from these very sentences already, so there is nothing left to do.")
            return
        grown = growth.learn(corpus, run, checkpoint)
        saving.begin()
        place.save(grown)
        if checkpoint is not None:
            checkpoint.clear()
    except KeyboardInterrupt as interrupt:
        if saving.done:
            raise Interrupted(f"interrupted when {place.output} was saved already: it is whole.") from interrupt
        goes_on = "; --resume goes on" if checkpoint is not None and checkpoint.path.exists() else ""
        raise Interrupted(f"interrupted: {place.model} is as it was{goes_on}.") from interrupt
    run.close()
    _tell(run, growth.model, grown)
    tell_result(run.say, grown, place.output, timer.lap())
    if path_of(place.output).exists():
        run.say(f"Its index is of the model before: make it again with embedkit index --model {place.output}.")


def _is_done(growth: Growth, corpus: Corpus) -> bool:
    """Tell whether an update with these sentences was saved already, and is not asked for again."""
    from embedkit.growing.notes import Notes

    return not growth.again and Notes.of(growth.model).of_the_same(corpus) is not None


def _tell(run: TerminalRun, model: Embeddings, grown: Embeddings) -> None:
    """Say what joined, and how far the tokens of before moved."""
    from embedkit.cli.report import plural
    from embedkit.growing.updating import moved

    joined = [plural(len(grown) - len(model), "new token")]
    if grown.keys is not None:
        joined.append(plural(len(grown.keys) - len(model.keys or ()), "new key"))
    turned = grown.config["trainer"] == "spectral"  # singular vectors may turn, which is no way
    way = None if turned else moved(model, grown)
    told = "" if way is None else f"; those of before moved by {way:.1%} of their lengths (median)"
    run.say(f"{' and '.join(joined)} joined{told}.")
