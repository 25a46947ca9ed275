"""From a model and the content of its tokens, and of others, to a model that has vectors for the others too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from embedkit.embeddings import Embeddings
from embedkit.embeddings.file import check_learnable
from embedkit.errors import EmbedkitError, OptionError
from embedkit.extending.features import WIDTHS, Features
from embedkit.extending.lengths import Trial
from embedkit.extending.ridge import Decomposition, RidgeMap
from embedkit.memory import check_fits
from embedkit.names import Names

Length = Literal["auto", "typical", "predicted"]

_FEWEST = 10  # tokens to learn from
_MOST = 50_000
_TRIED = 6_000  # tokens on which widths are compared
_BATCH = 1 << 12
# Arrays of models by their names, and what new tokens get there: by shape, vector_size might be taken for the number
# of tokens. The rarest token stands last.
_BY_TOKEN: dict[str, Callable[[np.ndarray], Any]] = {
    "keep": lambda kept: kept[-1],
    "biases": np.mean,
    "context_biases": np.mean,
}
_BLENDS = {"predicted": None, "typical": 0.0, "between": 0.5}


@dataclass(frozen=True)
class _Known:
    """The tokens that have both content and learned vectors: what the map is learned from.

    Attributes
    ----------
    ids
        int64 (n), their ids in the model.
    content
        n × p.
    vectors, context
        float32 (n × d), learned; context None where the model has no context vectors.
    weights
        float64 (n), √count, since vectors of frequent tokens are known better; their mean is 1.
    sized
        bool (d), which numbers of the targets have a length in common; the others are offsets.
    """

    ids: np.ndarray
    content: np.ndarray
    vectors: np.ndarray
    context: np.ndarray | None
    weights: np.ndarray
    sized: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        """What queries are dotted with."""
        return self.vectors if self.context is None else self.context

    def take(self, rows: np.ndarray) -> _Known:
        """Return these rows alone."""
        context = None if self.context is None else self.context[rows]
        weights = self.weights[rows] / self.weights[rows].mean()
        return _Known(self.ids[rows], self.content[rows], self.vectors[rows], context, weights, self.sized)

    def log_lengths(self) -> np.ndarray:
        """Return the logarithms of the targets' lengths, without offsets: float32 (n × 1), finite for zeros too."""
        lengths = np.linalg.norm(self.targets[:, self.sized], axis=1, keepdims=True)
        return np.asarray(np.log(np.maximum(lengths, 1e-6 * max(float(lengths.max(initial=0)), 1e-30))), np.float32)


@dataclass(frozen=True)
class _ContentMap:
    """From content to vectors, to context vectors, and to the logarithm of the lengths of what queries meet."""

    features: Features
    axes: Decomposition
    vectors: RidgeMap
    context: RidgeMap | None
    lengths: RidgeMap
    sized: np.ndarray

    @classmethod
    def of(cls, known: _Known, width: float | None, rng: np.random.Generator) -> _ContentMap:
        """Fit all of them, each with the regularisation of the least leave-one-out error."""
        features = Features.of(known.content, width, rng)
        axes = Decomposition(features(known.content), known.weights, rng)
        context = None if known.context is None else axes.fit(known.context)
        return cls(features, axes, axes.fit(known.vectors), context, axes.fit(known.log_lengths()), known.sized)

    @property
    def targets(self) -> RidgeMap:
        """The map to what queries are dotted with."""
        return self.vectors if self.context is None else self.context


def extend(embeddings: Embeddings, content: Embeddings, *, length: Length = "auto", seed: int = 1) -> Embeddings:
    """Give vectors to those tokens of `content` that `embeddings` has not.

    A ridge regression from the content of the tokens that are in both to their learned vectors predicts vectors and
    context vectors of the others. Its features (`Features`) and regularisation are those of the least leave-one-out
    error. New tokens stand behind the old ones with a count of 0; `config["extended"]` tells where they begin.

    Parameters
    ----------
    content
        A vector for each token, of any size: of its text, its image, its neighbours.
    length
        How long predicted context vectors are. `predicted`: as the regression gives them, the shorter the less the
        content tells. `typical`: as a regression of the logarithm of lengths has it. `auto`: whatever ranks the last
        tokens of the model's own histories best, then scaled so that new tokens get the share of recommendations that
        is theirs (`Trial`); `typical` where there are no histories.
    seed
        For what is drawn: landmarks, and samples where there is much.

    Raises
    ------
    EmbedkitError
        If there is nothing to learn from, or nothing to extend by; or vectors are huge or not finite.
    """
    if length not in ("auto", "typical", "predicted"):
        raise OptionError("length", f"must be 'auto', 'typical' or 'predicted'; got {length!r}.")
    for whose in (embeddings, content):
        check_learnable(whose)
    rng = np.random.default_rng(seed)
    known, new = _known(embeddings, content, rng)
    found = _best_map(known, rng)
    chosen, scale = _lengths(embeddings, known, found, length, rng)
    vectors, context = _predict(found, content.vectors, new, chosen, scale)
    note = {
        "tokens": len(new),
        "first": len(embeddings),
        "learned_from": len(known.ids),
        "explained": round(found.targets.explained, 4),
        "regularization": found.targets.regularization,
        "width": found.features.width,
        "length": chosen,
        "scale": round(scale, 4),
    }
    return _joined(embeddings, content, new, vectors, context, note)


def _known(emb: Embeddings, content: Embeddings, rng: np.random.Generator) -> tuple[_Known, np.ndarray]:
    """Return what there is to learn from (at most so many tokens, drawn), and the rows of content that are new."""
    ids = emb.tokens.find_all(content.tokens[:])
    rows, new = np.flatnonzero(ids >= 0), np.flatnonzero(ids < 0)
    if len(new) == 0:
        raise EmbedkitError(f"the model has all {len(ids):,} tokens of the content: there is nothing to extend it by.")
    if len(rows) < _FEWEST:
        some = f"{content.tokens[0]!r} in the content, {emb.tokens[0]!r} in the model"
        raise EmbedkitError(
            f"the content has {len(rows):,} tokens of the model, too few to learn a map from (at least {_FEWEST}); "
            f"are they spelt alike? {some}."
        )
    rows = np.sort(rng.permutation(rows)[:_MOST])
    ids = ids[rows]
    needed = 4 * len(ids) * (3 * content.vector_size + 6 * emb.vector_size + 3000) + 24 * content.vector_size**2
    check_fits(needed, f"a map from content of {content.vector_size:,} numbers", "shorten the content, as by an SVD")
    context = None if emb.context_vectors is None else np.asarray(emb.context_vectors[ids])
    weights = np.ones(len(ids)) if emb.counts is None else np.sqrt(np.maximum(emb.counts[ids], 1.0))
    content_rows = np.asarray(content.vectors[rows])
    return _Known(ids, content_rows, np.asarray(emb.vectors[ids]), context, weights / weights.mean(), _sized(emb)), new


def _sized(emb: Embeddings) -> np.ndarray:
    """Return which numbers of what queries meet are no offsets, as popularity is: bool (vector_size)."""
    sized = np.ones(emb.vector_size, bool)
    if emb.query == "contrastive" and emb.config.get("offsets"):
        sized[-1] = False
    if emb.query == "spectral" and "prior" in emb.arrays:
        sized &= np.asarray(emb.arrays["prior"]) == 0
    return sized


def _best_map(known: _Known, rng: np.random.Generator) -> _ContentMap:
    """Return the map with the features that leave the least error, compared on a part where there is much."""
    part = known.take(np.sort(rng.permutation(len(known.ids))[:_TRIED]))
    tried = [_ContentMap.of(part, width, rng) for width in WIDTHS]
    best = max(tried, key=lambda found: found.targets.explained)
    return best if len(part.ids) == len(known.ids) else _ContentMap.of(known, best.features.width, rng)


def _lengths(
    emb: Embeddings, known: _Known, found: _ContentMap, length: Length, rng: np.random.Generator
) -> tuple[str, float]:
    """Return which lengths predicted vectors are to have, and by what they are scaled besides."""
    # Offsets of ratings are a part of these vectors, which other lengths would distort.
    if length == "predicted" or emb.config.get("fold_in", {}).get("loss") == "explicit":
        return "predicted", 1.0
    trial = Trial(emb, known.ids, rng)
    # Targets of contrastive are unit vectors: the typical length is 1 for all of them.
    if length == "typical" or emb.query == "contrastive" or not len(trial):
        return "typical", 1.0
    predicted = found.axes.left_out(found.targets, known.targets)
    lengths = found.axes.left_out(found.lengths, known.log_lengths())
    candidates = {name: _with_length(predicted, lengths, blend, known.sized) for name, blend in _BLENDS.items()}
    chosen = [*candidates][trial.best([*candidates.values()])]
    return chosen, trial.scale(candidates[chosen], known.sized)


def _with_length(predicted: np.ndarray, log_lengths: np.ndarray, blend: float | None, sized: np.ndarray) -> np.ndarray:
    """Return predictions as they are (None), else with exp(log_lengths) · |prediction|^blend for their lengths.

    Only the numbers that are `sized` have that length, and are changed.
    """
    if blend is None:
        return predicted
    own = np.linalg.norm(predicted[:, sized], axis=1, keepdims=True)
    own = np.where(own > 0, own, 1)
    return np.asarray(predicted * np.where(sized, np.exp(log_lengths) * own ** (blend - 1), 1), np.float32)


def _predict(
    found: _ContentMap, content: np.ndarray, new: np.ndarray, chosen: str, scale: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the vectors, and where the model has them the context vectors, of new tokens."""
    size = len(found.vectors.offset)
    vectors = np.empty((len(new), size), np.float32)
    context = None if found.context is None else np.empty((len(new), size), np.float32)
    for start in range(0, len(new), _BATCH):
        rows = slice(start, start + _BATCH)
        features = found.features(content[new[rows]])
        made = found.axes.predict(found.targets, features)
        lengths = found.axes.predict(found.lengths, features)
        made = _with_length(made, lengths, _BLENDS[chosen], found.sized)
        made *= np.where(found.sized, np.float32(scale), np.float32(1))
        if context is None:
            vectors[rows] = made
        else:
            vectors[rows] = found.axes.predict(found.vectors, features)
            context[rows] = made
    return vectors, context


def _joined(
    emb: Embeddings,
    content: Embeddings,
    new: np.ndarray,
    vectors: np.ndarray,
    context: np.ndarray | None,
    note: dict[str, Any],
) -> Embeddings:
    """Return the model with the new tokens behind its own."""
    labels = None
    if emb.labels is not None or content.labels is not None:
        labels = _labels(emb.labels, len(emb)).followed_by(
            _labels(None if content.labels is None else content.labels.take(new), len(new))
        )
    return Embeddings(
        emb.tokens.followed_by(content.tokens.take(new)),
        np.concatenate((emb.vectors, vectors)),
        counts=None if emb.counts is None else np.concatenate((emb.counts, np.zeros(len(new), np.int64))),
        labels=labels,
        context_vectors=None if context is None else np.concatenate((emb.targets, context)),
        keys=emb.keys,
        key_vectors=emb.key_vectors,
        histories=emb.histories,
        query=emb.query,
        arrays={name: _lengthened(name, array, len(new)) for name, array in emb.arrays.items()},
        config={**emb.config, "extended": note},
        losses=emb.losses,
    )


def _lengthened(name: str, array: np.ndarray, n_new: int) -> np.ndarray:
    """Return what holds a number for each token with one for each new token too."""
    if name not in _BY_TOKEN:
        return array
    return np.concatenate((array, np.full(n_new, _BY_TOKEN[name](array), array.dtype)))


def _labels(given: Names | None, n: int) -> Names:
    return given if given is not None else Names.from_strings([""] * n)
