"""`embedkit.update`: from a trained model and new data to a model of both."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.contracts import Run, Source, Trainer
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings, load, verify
from embedkit.embeddings.file import check_learnable
from embedkit.errors import EmbedkitError, OptionError, SourceError
from embedkit.growing.joining import join
from embedkit.growing.notes import Notes, clear_left, mark_of
from embedkit.options import build, describe
from embedkit.plugins import Plugins, load_plugins
from embedkit.training import CorpusOptions, make_plan, train

if TYPE_CHECKING:
    from embedkit.checkpoints import Checkpoint

FREE = ("epochs", "alpha", "min_alpha", "iterations", "workers", "seed")
"""The trainers' options that an update may have of its own; all others are the model's."""

_ROWS = 1 << 14
_PARTS = (
    "tokens", "vectors", "counts", "labels", "context_vectors", "keys", "key_vectors", "histories", "query", "arrays",
    "config", "losses",
)  # fmt: skip


@dataclass(frozen=True)
class Growth:
    """A model and how it is to grow, checked and ready.

    Attributes
    ----------
    trainer, options
        The model's own, and its options for growing.
    drift
        What the ways of the model's tokens are multiplied by.
    changes
        The trainer's options that were given.
    again
        Whether sentences that the model has learned already may be learned once more.
    """

    model: Embeddings
    trainer: type[Trainer]
    options: Any
    drift: float
    changes: Mapping[str, Any]
    again: bool = False

    def learn(self, corpus: Corpus, run: Run | None = None, checkpoint: Checkpoint | None = None) -> Embeddings:
        """Return the model grown by the sentences of a corpus, with a note of that in its config.

        Raises
        ------
        EmbedkitError
            If the training or one of the latest updates learned from these very sentences, and `again` is not set.
        """
        run = run or Run()
        notes = Notes.of(self.model)
        if not self.again and (same := notes.of_the_same(corpus)) is not None:
            when = same.get("at", "some time ago") if same is not notes.first else "when it was trained"
            raise EmbedkitError(
                f"the model learned from these very sentences already ({when}); it stays as it is. With --again they "
                "count once more."
            )
        mark = mark_of(self.model, corpus)
        if checkpoint is not None:
            clear_left(checkpoint, self.model, run)
            checkpoint = replace(checkpoint, of=mark)
        before = self.model.config.get("source")
        if before is not None and corpus.source not in (None, before):
            run.say(f"The model learned from source {before} before, and now from source {corpus.source}.")
        grown = join(self.model, corpus, run)
        options = {spec.name: getattr(self.options, spec.name) for spec in describe(self.trainer.Options)}
        with _growing(run, self.model, self.drift):
            learned = train(grown, self.trainer, checkpoint=checkpoint, run=run, **options)
        learned = _with_rows_that_stay(learned, self.model, self.drift)
        told = {**self.model.config, **learned.config, "options": self.model.config["options"]}
        grown_by = notes.with_one(
            corpus,
            mark=mark,
            new_tokens=len(learned) - len(self.model),
            new_keys=len(learned.keys or ()) - len(self.model.keys or ()),
            drift=self.drift,
            **{name: options[name] for name in self.changes},
        )
        return learned.with_config(**{**told, "grown": grown_by})


def update(
    model: Embeddings | str | os.PathLike[str],
    source: str | type[Source] | Corpus,
    *,
    drift: float = 1.0,
    again: bool = False,
    checkpoint: Checkpoint | None = None,
    plugins: Plugins | None = None,
    run: Run | None = None,
    **options: Any,
) -> Embeddings:
    """Grow a trained model by new sentences: new tokens and keys join, counts and histories go on.

    The model's own trainer goes on from its vectors, with the options that it was trained with. A new token joins when
    it occurs as often as the model's `min_count` asks for, within the new sentences.

    Parameters
    ----------
    model
        Embeddings, or a model file, which stays as it is.
    source
        Where the new sentences come from: the name of a source, a class derived from `Source`, or a corpus.
    drift
        What to multiply the ways of the model's tokens by: from 0, which keeps them as they are, to the bit, to 1, with
        which they go as far as the trainer lets them.
    again
        Learn from sentences even if the training or one of the latest ten updates learned from them already, which is
        refused else.
    checkpoint
        As for `train`.
    options
        The options of the source, `min_count`, `work_dir`, and of the trainer `epochs`, `alpha`, `min_alpha`,
        `iterations`, `workers` and `seed`.

    Raises
    ------
    EmbedkitError
        If the model's trainer cannot grow it, an option is the model's to say, or the sentences were learned already.

    Examples
    --------
    >>> emb = embedkit.update("embedkit.safetensors", "sessions", input="monday.csv")
    """
    if not isinstance(model, Embeddings):
        verify(model)  # what is made of it gets a checksum of its own
        model = load(model, index=False)
    plugins = plugins or load_plugins()
    free = {name: value for name, value in options.items() if name in FREE}
    growth = plan_growth(model, free, drift, plugins, again=again)
    if isinstance(source, Corpus):
        if refused := options.keys() - free.keys():
            raise OptionError(min(refused), "goes with a source that is to be read; this corpus is read already.")
        return growth.learn(source, run, checkpoint)
    made, corpus_options = plan_reading(growth, source, options, plugins)
    return growth.learn(read_new(growth, made, corpus_options, run), run, checkpoint)


def plan_growth(
    model: Embeddings, changes: Mapping[str, Any], drift: float, plugins: Plugins, *, again: bool = False
) -> Growth:
    """Check that a model can grow, and with which options.

    Raises
    ------
    EmbedkitError
        If it cannot, with the reason.
    """
    trainer = trainer_of(model, plugins)
    if not 0 <= drift <= 1:
        raise OptionError("drift", f"must be from 0 (tokens of the model stay) to 1 (they are free); got {drift:g}.")
    if drift < 1 and not trainer.drifts:
        raise OptionError("drift", f"is not for {trainer.name}, whose vectors are computed anew; leave it out.")
    declared = {spec.name for spec in describe(trainer.Options)}
    if unknown := changes.keys() - declared:
        raise OptionError(min(unknown), f"is no option of trainer {trainer.name!r}, which made the model.")
    as_trained = {name: value for name, value in model.config["options"].items() if name in declared}
    options = trainer.options_to_grow(model, build(trainer.Options, as_trained))
    if model.counts is None:
        raise EmbedkitError("the model does not tell how often its tokens occurred, so it cannot grow; train anew.")
    check_learnable(model)
    to_grow = {name: getattr(options, name) for name in declared}
    return Growth(model, trainer, build(trainer.Options, {**to_grow, **changes}), float(drift), dict(changes), again)


def trainer_of(model: Embeddings, plugins: Plugins) -> type[Trainer]:
    """Return the trainer that made a model; one that was imported has none, and is refused."""
    name = model.config.get("trainer")
    if not isinstance(name, str) or not isinstance(model.config.get("options"), Mapping):
        made = "was imported" if "imported" in model.config else "does not tell how it was trained"
        raise EmbedkitError(f"the model {made}, so there is no training to go on with; train one with embedkit train.")
    return plugins.trainer(name)


def plan_reading(
    growth: Growth, source: str | type[Source], values: Mapping[str, Any], plugins: Plugins
) -> tuple[Source, CorpusOptions]:
    """Make the source of new sentences, and the corpus' options, with the model's `min_count` where none is given.

    Raises
    ------
    OptionError
        For an option of the trainer that is the model's to say, or one that nobody has.
    SourceError
        If it is not said what to read.
    """
    cls = plugins.source(source) if isinstance(source, str) else source
    to_read = {spec.name for options in (CorpusOptions, cls.Options) for spec in describe(options)}
    for spec in describe(growth.trainer.Options):
        if spec.name in values and spec.name not in to_read and spec.name not in FREE:
            raise OptionError(spec.name, "is the model's, and no update changes it; leave it out, or train anew.")
    given = {name: value for name, value in values.items() if name in to_read or name not in FREE}
    if "min_count" in growth.model.config:
        given = {"min_count": growth.model.config["min_count"], **given}
    plan = make_plan(cls, growth.trainer, given, plugins)
    if plan.on_sample:
        raise SourceError("an update needs new sentences: say what to read with --input.")
    return plan.source, plan.corpus_options


def read_new(growth: Growth, source: Source, options: CorpusOptions, run: Run | None = None) -> Corpus:
    """Read the new sentences: the model's tokens however rare they are, and new ones that occur often enough."""
    return Corpus.from_source(
        source,
        min_count=options.min_count,
        work_dir=Path(options.work_dir) if options.work_dir else None,
        run=run,
        known=growth.model.tokens,
    )


@contextmanager
def _growing(run: Run, model: Embeddings, drift: float) -> Iterator[None]:
    """Let a run begin with a model, for as long as the context lasts."""
    before = run.start, run.drift
    run.start, run.drift = model, drift
    try:
        yield
    finally:
        run.start, run.drift = before


def _with_rows_that_stay(learned: Embeddings, model: Embeddings, drift: float) -> Embeddings:
    """Return the embeddings with the model's own rows of tokens that never occurred, or of all where none may move.

    Those that never occurred were given vectors by `extend`, which say more than a trainer that saw nothing of them.
    Where none may move, no bit changes by being taken apart and put together, as subwords are.
    """
    places = learned.tokens.find_all(model.tokens)
    assert learned.counts is not None
    rows = np.arange(len(places)) if drift == 0 else np.flatnonzero(learned.counts[places] == 0)
    if not len(rows) or learned.vector_size != model.vector_size:
        return learned
    parts = {}
    for name in ("vectors", "context_vectors"):
        ours, theirs = getattr(learned, name), getattr(model, name)
        if ours is not None and theirs is not None:
            parts[name] = np.array(ours)
            parts[name][places[rows]] = theirs[rows]
    same = {name: getattr(learned, name) for name in _PARTS}
    return Embeddings(**{**same, **parts})


def moved(model: Embeddings, grown: Embeddings) -> float | None:
    """Return how far tokens went, the median of distances over lengths; None where vectors have got another size."""
    if model.vector_size != grown.vector_size:
        return None
    places = grown.tokens.find_all(model.tokens)
    ways = []
    for start in range(0, len(places), _ROWS):
        before = model.vectors[start : start + _ROWS]
        way = np.linalg.norm(grown.vectors[places[start : start + _ROWS]] - before, axis=1)
        ways.append(way / np.maximum(np.linalg.norm(before, axis=1), np.finfo(np.float32).tiny))
    return float(np.median(np.concatenate(ways)))
