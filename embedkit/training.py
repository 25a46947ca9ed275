"""From the name of a source and of a trainer to a corpus and to Embeddings: the way through the house in two steps."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.checkpoints import LEARNED, identity_of, note_of
from embedkit.contracts import Run, Source, Trainer
from embedkit.engines import make_engine
from embedkit.errors import EmbedkitError, OptionError, SourceError, did_you_mean
from embedkit.options import OptionSpec, build, describe, option
from embedkit.plugins import Plugins, load_plugins

if TYPE_CHECKING:
    from embedkit.checkpoints import Checkpoint
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings
    from embedkit.engines.engine import Engine
    from embedkit.evaluation import EarlyStopping

DEFAULT_TRAINER = "skipgram"


@dataclass(frozen=True)
class CorpusOptions:
    """How sentences become a corpus."""

    min_count: int = option(1, "Leave out tokens that occur less often than this.", minimum=1)
    work_dir: str | None = option(None, "Folder for temporary files; the system's where not given.", metavar="DIR")


@dataclass(frozen=True)
class Plan:
    """A source, a trainer and their checked options, ready to run."""

    source: Source
    trainer: type[Trainer]
    corpus_options: CorpusOptions
    trainer_options: Any
    on_sample: bool

    def read(self, run: Run | None = None) -> Corpus:
        """Read the source's sentences once, into a corpus; in partitions where the run has an engine."""
        return _read(self.source, self.corpus_options, run or Run())

    def train(
        self,
        corpus: Corpus,
        run: Run | None = None,
        early_stopping: EarlyStopping | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Embeddings:
        """Learn vectors from the corpus and note in their config how they were made."""
        learned = _learn(self.trainer, corpus, self.trainer_options, run or Run(), early_stopping, checkpoint)
        return learned.with_config(source=self.source.name, min_count=self.corpus_options.min_count)


def option_specs(source: type[Source], trainer: type[Trainer]) -> dict[str, list[OptionSpec]]:
    """Return the options of the corpus, the source and the trainer under these headings, with the defaults in force."""
    groups = {"corpus": CorpusOptions, "source": source.Options, "trainer": trainer.Options}
    defaults = defaults_for(source.defaults, trainer)
    return {
        heading: [_with_default(spec, defaults) for spec in describe(options)] for heading, options in groups.items()
    }


def defaults_for(defaults: Mapping[str, Any], trainer: type[Trainer]) -> dict[str, Any]:
    """Return the defaults of a source that hold for a trainer: those for all, overridden by `TRAINER.option`."""
    prefix = f"{trainer.name}."
    general = {name: value for name, value in defaults.items() if "." not in name}
    return general | {name.removeprefix(prefix): value for name, value in defaults.items() if name.startswith(prefix)}


def _with_default(spec: OptionSpec, defaults: Mapping[str, Any]) -> OptionSpec:
    if spec.name not in defaults:
        return spec
    values = {f.name: getattr(spec, f.name) for f in fields(spec)}
    return OptionSpec(**{**values, "default": defaults[spec.name]})


def _trainer(given: str | type[Trainer] | None, defaults: Mapping[str, Any], plugins: Plugins) -> type[Trainer]:
    """Return the trainer given by its class or name, else the one that the source prefers, else the default."""
    if isinstance(given, type):
        return given
    return plugins.trainer(given or str(defaults.get("trainer", DEFAULT_TRAINER)))


def trainer_name(source: type[Source], given: str | None = None) -> str:
    """Return the trainer asked for, else the one that the source prefers, else the default."""
    return given or str(source.defaults.get("trainer", DEFAULT_TRAINER))


def make_plan(
    source: str | type[Source],
    trainer: str | type[Trainer] | None,
    values: Mapping[str, Any],
    plugins: Plugins | None = None,
) -> Plan:
    """Give each option in `values` to whoever declares it, check them all, and make the source.

    Raises
    ------
    OptionError
        For an option that neither the corpus, the source nor the trainer has, or a value out of bounds.
    SourceError
        If the source needs input and has no sample to stand for it.
    """
    plugins = plugins or load_plugins()
    source_class = plugins.source(source) if isinstance(source, str) else source
    trainer_class = _trainer(trainer, source_class.defaults, plugins)
    specs = option_specs(source_class, trainer_class)
    known = {spec.name for group in specs.values() for spec in group}
    for name in values:
        if name not in known:
            near = did_you_mean(name, known) or f" There are: {', '.join(sorted(known))}."
            whose = f"source {source_class.name!r} or of trainer {trainer_class.name!r}"
            raise OptionError(name, f"is no option of {whose}.{near}")
    made_source, on_sample = _make_source(source_class, values)
    return Plan(
        made_source,
        trainer_class,
        build(CorpusOptions, _values_for(specs["corpus"], values)),
        build(trainer_class.Options, _values_for(specs["trainer"], values)),
        on_sample,
    )


def _values_for(specs: list[OptionSpec], values: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {spec.name: spec.default for spec in specs if spec.default is not MISSING}
    return defaults | {spec.name: values[spec.name] for spec in specs if spec.name in values}


def _make_source(source: type[Source], values: Mapping[str, Any]) -> tuple[Source, bool]:
    """Return the source, and whether its sample stands for input that was not given."""
    specs = [_with_default(spec, source.defaults) for spec in describe(source.Options)]
    chosen = {spec.name: values[spec.name] for spec in specs if spec.name in values}
    takes_input = any(spec.name == "input" for spec in specs)
    given = chosen.get("input")
    missing = given is None or (isinstance(given, tuple | list) and not given)
    on_sample = False
    if takes_input and missing:
        chosen.pop("input", None)
        sample = source.sample()
        if sample is not None:
            chosen["input"], on_sample = sample, True
        elif any(spec.name == "input" and spec.required for spec in specs):
            raise SourceError(f"source {source.name!r} has no sample of its own: say what to read with --input.")
    return source(build(source.Options, _values_for(specs, chosen))), on_sample


def _read(source: Source, options: CorpusOptions, run: Run) -> Corpus:
    from embedkit.corpus import Corpus

    work_dir = Path(options.work_dir) if options.work_dir else None
    if run.engine is not None:
        from embedkit.corpus.partitioned import PartitionedCorpus

        return PartitionedCorpus.from_source(  # type: ignore[return-value]  # as trainers that divide know
            source, run.engine, min_count=options.min_count, work_dir=work_dir, run=run
        )
    return Corpus.from_source(source, min_count=options.min_count, work_dir=work_dir, run=run)


def _learn(
    trainer: type[Trainer],
    corpus: Corpus,
    options: Any,
    run: Run,
    early_stopping: EarlyStopping | None,
    checkpoint: Checkpoint | None = None,
) -> Embeddings:
    def learn(corpus: Corpus, run: Run, epochs: int | None = None) -> Embeddings:
        settled = options if epochs is None else replace(options, epochs=epochs)
        return trainer().train(corpus, settled, run)

    settings = {spec.name: getattr(options, spec.name) for spec in describe(trainer.Options)}
    if run.engine is None:
        corpus.histories()  # a part of the result: where they are too large for memory, that is to be known before
    plain = run
    with contextlib.ExitStack() as stack:
        if checkpoint is not None:
            checkpoint.check(trainer)
            checkpoint.prepare()
            stack.enter_context(checkpoint.held())
            asked, files = ({}, {}) if early_stopping is None else (early_stopping.settings(), early_stopping.files())
            run = checkpoint.keeper(run, identity_of(corpus, trainer.name, settings | asked, run, files))
        if early_stopping is None:
            learned = learn(corpus, run)
        else:
            early_stopping.check(trainer)
            learned = early_stopping.train(corpus, learn, run, options.epochs, plain)
    # The sentences of partitions lie elsewhere, in an order that their number decides; an update has notes of its own.
    note = {LEARNED: note_of(corpus)} if run.engine is None and run.start is None else {}
    return learned.with_config(trainer=trainer.name, options=settings, **note)


def make_source(name: str, *, plugins: Plugins | None = None, **options: Any) -> Source:
    """Return a registered source, its options checked: what another source, which brings the rows, can build upon.

    Such a source sets the new one's `work_dir` and hands on its batches, labels, `dropped` and `notes`.

    Examples
    --------
    >>> list(embedkit.make_source("sessions", input=frame, user_column="reader").batches())
    """
    source = (plugins or load_plugins()).source(name)
    return source(build(source.Options, options))


def read(
    source: str | type[Source], *, plugins: Plugins | None = None, run: Run | None = None, **options: Any
) -> Corpus:
    """Read a source into a corpus.

    Parameters
    ----------
    source
        The name of a registered source, or a class derived from `Source`.
    options
        The source's options, and `min_count` and `work_dir`.

    Examples
    --------
    >>> corpus = embedkit.read("text", input="wiki.txt", min_count=5)
    """
    return make_plan(source, None, options, plugins).read(run)


def train(
    source: str | type[Source] | Corpus,
    trainer: str | type[Trainer] | None = None,
    *,
    early_stopping: EarlyStopping | str | None = None,
    checkpoint: Checkpoint | None = None,
    engine: Engine | str | None = None,
    plugins: Plugins | None = None,
    run: Run | None = None,
    **options: Any,
) -> Embeddings:
    """Read a source and learn vectors from it.

    Parameters
    ----------
    source
        The name of a registered source, a class derived from `Source`, or a corpus that was read before.
    trainer
        The name of a registered trainer, or a class derived from `Trainer`; the one that the source prefers where None.
    early_stopping
        When to stop before all epochs are over, and what is held out to know it; `"ndcg@20"` stands for
        `EarlyStopping("ndcg@20")`.
    checkpoint
        Where and how often to keep a state to go on from, should the training be interrupted.
    engine
        What divides the work (see `make_engine`), `"local"` or `"dask"`; None for this process as a whole.
    options
        The options of source, corpus and trainer, under their names (`vector_size=100`).

    Examples
    --------
    >>> emb = embedkit.train("text", "cbow", input="wiki.txt", vector_size=100)
    """
    if isinstance(early_stopping, str):
        from embedkit.evaluation import EarlyStopping

        early_stopping = EarlyStopping(early_stopping)
    if engine is not None:
        with contextlib.ExitStack() as stack:
            made = stack.enter_context(make_engine(engine)) if isinstance(engine, str) else engine
            run = run or Run()
            run.engine = made
            return train(
                source, trainer, early_stopping=early_stopping, checkpoint=checkpoint, plugins=plugins, run=run,
                **options,
            )  # fmt: skip
    if isinstance(source, str | type):
        plan = make_plan(source, trainer, options, plugins)
        if early_stopping is not None:
            early_stopping.check(plan.trainer)
        if checkpoint is not None:
            checkpoint.check(plan.trainer)
        if run is not None and run.engine is not None:
            check_divides(plan.trainer, plan.trainer_options, early_stopping is not None, checkpoint is not None)
        return plan.train(plan.read(run), run, early_stopping, checkpoint)
    if run is not None and run.engine is not None:
        raise EmbedkitError("an engine reads the source itself, in partitions; give it the source, not a corpus.")
    chosen = _trainer(trainer, source.defaults, plugins or load_plugins())
    return _learn(chosen, source, trainer_options(source, chosen, options), run or Run(), early_stopping, checkpoint)


def check_divides(trainer: type[Trainer], options: Any, stops_early: bool, keeps_states: bool) -> None:
    """Refuse what cannot be done by an engine: other trainers, some options, early stopping, states to resume from."""
    if not trainer.divides:
        raise EmbedkitError(
            f"trainer {trainer.name!r} does not learn in partitions; als, cbow, glove, skipgram and spectral do. "
            "Leave --engine out, or choose one of them."
        )
    for asked, flag in ((stops_early, "--early-stopping"), (keeps_states, "--checkpoint")):
        if asked:
            raise EmbedkitError(f"{flag} does not go with --engine yet; leave one of them out.")
    trainer.check_divides(options)


def trainer_options(corpus: Corpus, trainer: type[Trainer], values: Mapping[str, Any]) -> Any:
    """Return a trainer's options for a corpus that was read before: the defaults of its source, then `values`."""
    declared = {spec.name for spec in describe(trainer.Options)}
    defaults = {name: value for name, value in defaults_for(corpus.defaults, trainer).items() if name in declared}
    return build(trainer.Options, {**defaults, **values})
