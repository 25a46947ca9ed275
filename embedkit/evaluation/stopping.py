"""Early stopping: after each epoch what was held out is looked for, and the best epoch's vectors are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from embedkit.contracts import History, Run, Trainer
from embedkit.corpus import Corpus
from embedkit.corpus.workdir import WorkFolder
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError, OptionError, SourceError
from embedkit.evaluation.kept_best import Standing, packed, refuse_unlike, unpacked
from embedkit.evaluation.validation import Measure, Validation, word_score
from embedkit.names import Names
from embedkit.options import describe

_LEAST_GAIN = {"loss": 1e-3}  # of the loss: it hardly ever ceases to fall by a little
_BLOCK = 1 << 14


class Learn(Protocol):
    """Trains on a corpus with settled options; `epochs` overrides how often it goes over it."""

    def __call__(self, corpus: Corpus, run: Run, epochs: int | None = None) -> Embeddings:
        """Return what was learned."""


def iterates(trainer: type[Trainer]) -> bool:
    """Return whether a trainer learns in epochs: it has an option `epochs`, and calls `run.epoch_done` after each."""
    return any(spec.name == "epochs" for spec in describe(trainer.Options))


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when a measure ceases to improve, and keep the vectors of the epoch at which it was best.

    Attributes
    ----------
    metric
        `ndcg@20` and its like: how well what was held out is recommended. `loss`: the training loss, which needs
        nothing held out, and is to fall by a thousandth. `words`: Spearman's correlation, or the share of analogies
        answered rightly, on the file that `validation` names.
    patience
        Stop after so many epochs without an improvement.
    validation
        What is held out.
    retrain
        Whether, when the best number of epochs is known, to learn again from everything for that long.
    """

    metric: str = "ndcg@20"
    patience: int = 5
    validation: Validation = field(default_factory=Validation)
    retrain: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.patience, int) or isinstance(self.patience, bool) or self.patience < 1:
            raise OptionError("patience", f"must be a whole number of at least 1; got {self.patience!r}.")
        if self.metric not in ("loss", "words"):
            Measure.parse(self.metric, "early_stopping", ("loss", "words"))
        if self.metric == "words" and not self.validation.of_file:
            raise OptionError("early_stopping", "words needs a file of similarities or analogies: --validation FILE.")
        if self.metric == "loss" and self.validation.part is not None:
            raise OptionError("validation", "does not go with --early-stopping loss, which holds nothing out.")

    @property
    def holds_out(self) -> bool:
        """Whether a part of the corpus is kept from the trainer."""
        return self.metric not in ("loss", "words") and not self.validation.of_file

    def check(self, trainer: type[Trainer]) -> None:
        """Refuse a trainer that does not learn in epochs."""
        if not iterates(trainer):
            raise EmbedkitError(
                f"trainer {trainer.name!r} does not learn in epochs, so there is nothing to stop early: leave "
                "--early-stopping out, or choose a trainer with --epochs, such as als."
            )

    def train(
        self, corpus: Corpus, learn: Learn, run: Run, epochs: int | None, retraining: Run | None = None
    ) -> Embeddings:
        """Learn at most `epochs` epochs (None: the trainer's own) and return the vectors of the best one.

        Queries get the whole histories, the part that was held out included. States that `run` keeps hold the best
        epoch so far too.

        Parameters
        ----------
        retraining
            What learning again is told, which keeps no states; `run` where None.

        Raises
        ------
        EmbedkitError
            If the trainer tells of no epoch, or nothing can be held out.
        ModelError
            If the state to go on from is damaged or holds another training's best epoch.
        """
        train, measure = self._prepared(corpus, run)
        watch = _Watch(run, measure, self, epochs, train.tokens)
        learned = learn(train, watch)
        if watch.best is None:
            raise EmbedkitError("this trainer tells of no epoch (run.epoch_done): train without --early-stopping.")
        refuse_unlike(watch.best, learned)
        del learned
        run.say(f"Best epoch {watch.best_epoch} of {watch.epoch}: {self.metric} {watch.value:.4f}.")
        if self.retrain:
            run.say(f"Learning again from everything, for {_epochs(watch.best_epoch)}.")
            model = learn(corpus, retraining or run, watch.best_epoch)
        else:
            model = with_histories(watch.best, corpus) if self.holds_out else watch.best
            self._tell(corpus, train, model, watch, run)
        return model.with_config(early_stopping=self._noted(watch))

    def settings(self) -> dict[str, Any]:
        """Return what must be the same for a training to go on, by the names of the flags."""
        held_out = self.validation
        return {
            "early_stopping": self.metric,
            "patience": self.patience,
            "validation": None if held_out.part is None else str(held_out.part),
            "validation_share": held_out.share,
            "validation_layout": held_out.layout,
            "validation_seed": held_out.seed,
            "validation_rows": held_out.most_rows,
            "include_seen": held_out.include_seen,
            "retrain": self.retrain,
        }

    def files(self) -> dict[str, Path]:
        """Return the files whose contents must be the same too, by what they are."""
        return {"validation": Path(str(self.validation.part))} if self.validation.of_file else {}

    def _prepared(self, corpus: Corpus, run: Run) -> tuple[Corpus, Callable[[float, Embeddings], float]]:
        """Return what to learn from, and what measures a loss and a model: the greater the better."""
        if self.metric == "loss":
            return corpus, lambda loss, model: loss
        if self.metric == "words":
            return corpus, lambda loss, model: word_score(model, str(self.validation.part))
        measure = Measure.parse(self.metric, "early_stopping")
        if corpus.keys is None and self.validation.part is None:
            raise SourceError(
                "these sentences have no keys, so there is nobody to recommend to: give --validation next-item to ask "
                "for each next token, or --early-stopping loss or words."
            )
        parts = self.validation.split(corpus)
        measure.check(len(parts.train.tokens), "early_stopping")
        run.say(self.validation.told(corpus, parts))
        return parts.train, lambda loss, model: measure.of(model, parts.test, self.validation)[str(measure)]

    def _tell(self, corpus: Corpus, train: Corpus, model: Embeddings, watch: _Watch, run: Run) -> None:
        if not self.holds_out:
            return
        run.say(
            f"Its vectors were learned without the {corpus.n_tokens - train.n_tokens:,} tokens held out; histories are "
            f"whole. --retrain learns again from everything, for {_epochs(watch.best_epoch)}."
        )
        if lost := len(corpus.tokens) - len(model.tokens):
            run.say(f"Tokens that occur nowhere but in what was held out: {lost:,}, they have no vector.")

    def _noted(self, watch: _Watch) -> dict[str, Any]:
        noted = {"metric": self.metric, "value": watch.value, "best_epoch": watch.best_epoch, "epochs": watch.epoch}
        return {**noted, "retrained": self.retrain}


class _Watch(Run):
    """Stands between a trainer and a run: measures each epoch, keeps the best, and says when to stop."""

    def __init__(
        self,
        run: Run,
        measure: Callable[[float, Embeddings], float],
        stopping: EarlyStopping,
        epochs: int | None,
        tokens: Names,
    ) -> None:
        super().__init__(work_dir=run.work_dir, start=run.start, state=run.state, engine=run.engine, drift=run.drift)
        self._run, self._measure, self._stopping, self._epochs = run, measure, stopping, epochs
        self._folder = WorkFolder(run.work_dir)
        standing, self.best = unpacked(run.state, self._folder.path, tokens)
        self.epoch, self.best_epoch, self.value, self._since = standing

    def say(self, message: str) -> None:
        self._run.say(message)

    def progress(self, done: float, total: float, *, snapshot: Any = None, **more: Any) -> None:
        self._run.progress(done, total, snapshot=self._kept or snapshot, **more)

    def epoch_done(self, loss: float, snapshot: Callable[[], Embeddings]) -> bool:
        model = snapshot()
        value = self._measure(loss, model)
        if not np.isfinite(value):
            raise EmbedkitError(f"{self._stopping.metric} is no number after epoch {self.epoch + 1}; nothing to go by.")
        self.epoch += 1
        self._since = 0 if self._gained(value) else self._since + 1
        better = self.best is None or (value < self.value if self._stopping.metric == "loss" else value > self.value)
        if better:
            self.best, self.best_epoch, self.value = model, self.epoch, value
        number = f"{self.epoch}" if self._epochs is None else f"{self.epoch} of {self._epochs}"
        self._run.say(f"Epoch {number}: {self._stopping.metric} {value:.4f}{', best so far' * better}")
        goes_on = self._run.epoch_done(loss, self._kept or snapshot)
        return goes_on and self._since < self._stopping.patience

    def wants_state(self) -> bool:
        return self._run.wants_state()

    def keep_state(self, state: Callable[[], Mapping[str, np.ndarray]], *, epoch_over: bool = False) -> None:
        def both() -> dict[str, np.ndarray]:
            standing = Standing(self.epoch, self.best_epoch, self.value, self._since)
            return {**state(), **packed(standing, self.best, self._folder.path)}

        self.state = None  # gone on from by now; see `Keeper.keep_state`
        self._run.keep_state(both, epoch_over=epoch_over)

    @property
    def _kept(self) -> Callable[[], Embeddings] | None:
        best = self.best
        return None if best is None else lambda: best

    def _gained(self, value: float) -> bool:
        if self.best is None:
            return True
        if self._stopping.metric == "loss":
            return self.value - value > _LEAST_GAIN["loss"] * abs(self.value)
        return value > self.value


def with_histories(model: Embeddings, corpus: Corpus) -> Embeddings:
    """Return a model of a part of a corpus with the keys and histories of all of it.

    Tokens that the model does not know are left out of the histories, and keys with nothing else. Vectors of keys are
    folded in anew where that is what learning gives them (`als`), else they stay as they were learned.
    """
    whole = corpus.histories()
    if whole is None or corpus.keys is None:
        return model
    ids = model.tokens.find_all(list(corpus.tokens)).astype(np.int32)[whole.indices]
    known = ids >= 0
    indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(known)))[whole.indptr]
    weights, times = (None if values is None else values[known] for values in (whole.weights, whole.times))
    histories = History(indptr, ids[known], weights, times)
    fixed = model.key_vectors is not None and model.query != "ridge"
    learned = None if model.keys is None or not fixed else model.keys.find_all(list(corpus.keys))
    rows = np.flatnonzero(np.diff(indptr) > 0 if learned is None else learned >= 0)
    histories = histories.take(rows)
    key_vectors = None
    if model.key_vectors is not None:
        key_vectors = _folded(model, histories) if learned is None else model.key_vectors[learned[rows]]
    return Embeddings(
        model.tokens,
        model.vectors,
        counts=model.counts,
        labels=model.labels,
        context_vectors=model.context_vectors,
        keys=corpus.keys.take(rows),
        key_vectors=key_vectors,
        histories=histories,
        query=model.query,
        arrays=model.arrays,
        config=model.config,
        losses=model.losses,
    )


def _epochs(number: int) -> str:
    return f"{number} epoch{'s' * (number > 1)}"


def _folded(model: Embeddings, histories: History) -> np.ndarray:
    blocks = (np.arange(start, min(start + _BLOCK, len(histories))) for start in range(0, len(histories), _BLOCK))
    return np.concatenate([model.query_vectors(histories.take(rows)) for rows in blocks])
