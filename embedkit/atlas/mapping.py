"""What a map shows: its points in order of importance, their places and groups, and the trails of keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedkit.atlas.grouping import Groups, ungrouped
from embedkit.atlas.projection import Method, coordinates, method_for
from embedkit.contracts import Run
from embedkit.embeddings.lookup import find_ids
from embedkit.errors import EmbedkitError

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings


@dataclass(frozen=True)
class Trail:
    """A key on a map.

    Attributes
    ----------
    key
        Whose it is.
    history
        The places in the map's lists of what it had, oldest first.
    recommended
        Those of what it is recommended, best first.
    """

    key: str
    history: tuple[int, ...]
    recommended: tuple[int, ...]


@dataclass(frozen=True)
class Map:
    """Points of a map, the most important first.

    Attributes
    ----------
    ids
        int64 (n), which tokens of the model they are.
    places
        float32 (n × 2).
    tokens, labels
        Their names, and what to show for them.
    groups
        Which group each is in.
    trails
        Keys with their histories and recommendations.
    method
        How the places were found.
    """

    ids: np.ndarray
    places: np.ndarray
    tokens: tuple[str, ...]
    labels: tuple[str, ...]
    groups: Groups
    trails: tuple[Trail, ...]
    method: Method

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Selection:
    """Which tokens a map is to show.

    Attributes
    ----------
    ids
        int64 (n), distinct, the most important first.
    trails
        Keys, their histories and recommendations as ids of tokens.
    """

    ids: np.ndarray
    trails: tuple[Trail, ...] = ()


def select(
    embeddings: Embeddings,
    tokens: Sequence[str] = (),
    top: int = 0,
    keys: Sequence[str] = (),
    topn: int = 10,
) -> Selection:
    """Choose the tokens of a map: those that are named, else the most frequent ones; and what belongs to the keys.

    Parameters
    ----------
    tokens
        Names; where there are none, tokens are taken by how often they occurred.
    top
        How many of the most frequent; 0 takes all. With `tokens`, so many are taken besides them, 0 none.
    keys
        Whose histories and recommendations are shown, too.
    topn
        How many recommendations.

    Raises
    ------
    UnknownNameError
        For a token or key that is not there.
    """
    trails = tuple(_trail(embeddings, key, topn) for key in dict.fromkeys(keys))
    named = find_ids(embeddings.tokens, list(tokens), "token", embeddings.keys)
    chosen = [named]
    if top or not len(named):
        chosen.append(_most_frequent(embeddings)[: top or None])
    chosen += [np.array(trail.history + trail.recommended, np.int64) for trail in trails]
    ids = np.concatenate(chosen).astype(np.int64)
    _, first = np.unique(ids, return_index=True)
    ids = ids[np.sort(first)]
    if not len(ids):
        raise EmbedkitError("the model has no tokens, so there is nothing to draw.")
    return Selection(ids, trails)


def _most_frequent(embeddings: Embeddings) -> np.ndarray:
    if embeddings.counts is None:
        return np.arange(len(embeddings))
    return np.argsort(-embeddings.counts, kind="stable")


def _trail(embeddings: Embeddings, key: str, topn: int) -> Trail:
    recommended = [token for token, _ in embeddings.recommend(key, topn=topn)]
    history: list[int] = []
    if embeddings.histories is not None and embeddings.keys is not None:
        row = find_ids(embeddings.keys, [key], "key", embeddings.tokens)
        history = embeddings.histories.take(row).indices.tolist()
    found = find_ids(embeddings.tokens, recommended, "token")
    return Trail(key, tuple(history), tuple(found.tolist()))


def make_map(
    embeddings: Embeddings,
    selection: Selection | None = None,
    groups: Groups | None = None,
    method: Method = "pca",
    seed: int = 1,
    *,
    perplexity: float = 30.0,
    n_neighbors: int = 15,
    run: Run | None = None,
) -> Map:
    """Put the selected tokens, or all, on a map.

    Parameters
    ----------
    groups
        A group for each selected token; none where None.
    method, seed, perplexity, n_neighbors, run
        As for `coordinates`.
    """
    selection = selection or select(embeddings)
    ids = selection.ids
    places = coordinates(embeddings, ids, method, seed, perplexity=perplexity, n_neighbors=n_neighbors, run=run)
    tokens = embeddings.tokens[ids]
    where = {token: place for place, token in enumerate(ids.tolist())}
    trails = tuple(
        Trail(t.key, tuple(where[i] for i in t.history), tuple(where[i] for i in t.recommended))
        for t in selection.trails
    )
    shown = labels_of(embeddings, ids)
    return Map(
        ids, places, tuple(tokens), tuple(shown), groups or ungrouped(len(ids)), trails, method_for(method, len(ids))
    )


def labels_of(embeddings: Embeddings, ids: np.ndarray) -> list[str]:
    """Return what to show for each token: its label, or itself where it has none."""
    tokens = embeddings.tokens[ids]
    if embeddings.labels is None:
        return tokens
    return [label or token for label, token in zip(embeddings.labels[ids], tokens, strict=True)]
