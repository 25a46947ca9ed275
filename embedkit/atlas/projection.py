"""From vectors of any size to points of a map: PCA, t-SNE, UMAP."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from embedkit import scoring
from embedkit.atlas.neighbours import MANY, Neighbours, nearest
from embedkit.atlas.signals import held_back
from embedkit.contracts import Run
from embedkit.embeddings.lookup import find_ids
from embedkit.errors import EmbedkitError, OptionError, missing_extra
from embedkit.memory import available_cores, check_fits

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings

Method = Literal["pca", "tsne", "umap"]
METHODS: tuple[Method, ...] = get_args(Method)

_BLOCK = 1 << 14
_FEWEST = 8  # points from which neighbours say more than two directions do
_SHARED_FROM = 5000  # points from which threads gain; with fewer, on a busy machine, they mostly wait for each other
_EXAGGERATED, _PLAIN = 250, 500  # iterations of t-SNE, as its authors have them
_EARLY = 12.0
_WIDTH = 1e-4  # of the positions that t-SNE begins from; wider ones hold it back (Kobak & Berens 2019)
_MEGABYTES = {"pca": (20, 20), "tsne": (130, 300), "umap": (240, 350)}  # that code takes, for few points and for many
_A_POINT = {"pca": 100, "tsne": 2500, "umap": 1500}  # bytes, besides its vector
_UMAP_WIDTH = 10.0  # of UMAP's: the size of its own spectral beginning


def coordinates(
    embeddings: Embeddings,
    tokens: Sequence[str] | np.ndarray | None = None,
    method: Method = "pca",
    seed: int = 1,
    *,
    perplexity: float = 30.0,
    n_neighbors: int = 15,
    run: Run | None = None,
) -> np.ndarray:
    """Return a place on a map for each token, such that those with a great cosine lie together.

    Parameters
    ----------
    tokens
        Names, or ids as whole numbers; all tokens where None.
    method
        `pca`: the two directions in which vectors of length 1 differ most. `tsne` (van der Maaten & Hinton 2008, as
        openTSNE does it) and `umap` (McInnes et al. 2018) keep neighbours together; both begin from the PCA, and are
        given exact neighbours; fewer than eight points have places by PCA always.
    perplexity
        t-SNE: about how many neighbours a point is drawn by; at most a third of the points.
    n_neighbors
        UMAP: by how many neighbours a point is drawn.
    run
        What is told of the progress.

    Returns
    -------
    np.ndarray
        float32 (n × 2). The same seed gives the same places.

    Raises
    ------
    EmbedkitError
        If a vector is not finite, there is too little memory, or the method's package is not installed.
    """
    _check(method, perplexity, n_neighbors)
    n = len(embeddings) if tokens is None else len(tokens)
    check_fits(
        bytes_for(method, n, embeddings.vector_size), f"a map of {n:,} tokens by {method}",
        "one of fewer tokens needs less" + (", and so does one by pca" if method != "pca" else ""),
    )  # fmt: skip
    vectors = _vectors(embeddings, tokens)
    places = principal(vectors)
    method = method_for(method, len(vectors))
    if method == "pca":
        return places
    run = run or Run()
    if method == "tsne":
        return _tsne(vectors, places, seed, perplexity, run)
    return _umap(vectors, places, seed, n_neighbors, run)


def bytes_for(method: Method, n: int, width: int) -> int:
    """Return about how much memory a map of n vectors takes, compiled code and libraries with it."""
    few, many = _MEGABYTES[method]
    return 10**6 * (many if n >= MANY else few) + n * (4 * width + _A_POINT[method])


def _check(method: str, perplexity: float, n_neighbors: int) -> None:
    if method not in METHODS:
        raise OptionError("method", f"must be one of {', '.join(map(repr, METHODS))}; got {method!r}.")
    if not 1 < perplexity < 1000:
        raise OptionError("perplexity", f"must be a number above 1 and below 1,000; got {perplexity!r}.")
    if n_neighbors < 2:
        raise OptionError("n_neighbors", f"must be a whole number of at least 2; got {n_neighbors!r}.")


def _vectors(embeddings: Embeddings, tokens: Sequence[str] | np.ndarray | None) -> np.ndarray:
    vectors = embeddings.vectors
    if tokens is not None:
        ids = np.asarray(tokens) if isinstance(tokens, np.ndarray) and tokens.dtype.kind in "iu" else None
        vectors = vectors[find_ids(embeddings.tokens, list(tokens), "token", embeddings.keys) if ids is None else ids]
    check_finite(vectors)
    return np.asarray(vectors)


def check_finite(vectors: np.ndarray) -> None:
    """Refuse vectors (n × d) that hold NaN or infinite numbers."""
    for start in range(0, len(vectors), _BLOCK):
        if not np.isfinite(vectors[start : start + _BLOCK]).all():
            raise EmbedkitError(
                "the model holds NaN or infinite numbers, which have no place on a map; `embedkit info --verify` "
                "looks for them, and training again with a lower alpha avoids them."
            )


def method_for(method: Method, n: int) -> Method:
    """Return how n points are placed when `method` is asked for: so few that all are neighbours by PCA."""
    return "pca" if n < _FEWEST else method


def principal(vectors: np.ndarray) -> np.ndarray:
    """Return the first two principal components of `vectors` (n × d) brought to length 1: float32 (n × 2).

    Each component points to where its greatest loading is positive, so that a map does not turn over by chance. Where
    the vectors differ in fewer than two directions, the rest is 0.
    """
    n, width = vectors.shape
    places = np.zeros((n, 2), np.float32)
    if n < 2:
        return places
    blocks = [slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]
    mean = sum(scoring.normalized(vectors[rows]).sum(axis=0, dtype=np.float64) for rows in blocks) / n
    spread = np.zeros((width, width))
    for rows in blocks:
        centred = scoring.normalized(vectors[rows]) - mean.astype(np.float32)
        spread += centred.T @ centred
    values, directions = np.linalg.eigh(spread)
    kept = min(2, width)
    directions = directions[:, ::-1][:, :kept]
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(kept)])
    directions[:, values[::-1][:kept] <= n * 1e-12] = 0
    for rows in blocks:
        centred = scoring.normalized(vectors[rows]) - mean.astype(np.float32)
        places[rows, :kept] = centred @ directions.astype(np.float32)
    return places


def _tsne(vectors: np.ndarray, places: np.ndarray, seed: int, perplexity: float, run: Run) -> np.ndarray:
    try:
        from openTSNE import TSNEEmbedding
        from openTSNE.affinity import PerplexityBasedNN
        from openTSNE.nearest_neighbors import PrecomputedNeighbors
    except ImportError as error:
        raise missing_extra("openTSNE", "map", "a map by t-SNE") from error
    perplexity = min(perplexity, (len(vectors) - 1) / 3)
    found = nearest(vectors, int(3 * perplexity), run)
    jobs = available_cores() if len(vectors) >= _SHARED_FROM else 1
    with held_back():
        affinities = PerplexityBasedNN(
            knn_index=PrecomputedNeighbors(found.ids.astype(np.int64), _distances(found)),
            perplexity=perplexity, n_jobs=jobs, random_state=seed,
        )  # fmt: skip
    layout = TSNEEmbedding(
        _scaled(places, _WIDTH, seed), affinities, learning_rate="auto", n_jobs=jobs, random_state=seed,
        negative_gradient_method="bh" if len(vectors) < 10_000 else "fft",
    )  # fmt: skip
    total = _EXAGGERATED + _PLAIN
    for done in range(0, total, 50):
        early = done < _EXAGGERATED
        with held_back():
            layout.optimize(
                50, inplace=True, propagate_exception=True, exaggeration=_EARLY if early else None, momentum=0.8
            )
        run.progress(done + 50, total, unit="iterations")
    return np.asarray(layout, np.float32)


def _umap(vectors: np.ndarray, places: np.ndarray, seed: int, n_neighbors: int, run: Run) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TensorFlow, which it would use for what is not used here
            from umap import UMAP
    except ImportError as error:
        raise missing_extra("umap-learn", "map", "a map by UMAP") from error
    n_neighbors = min(n_neighbors, len(vectors) - 1)
    found = nearest(vectors, n_neighbors - 1, run)
    # Its own graph counts a point as its first neighbour.
    itself = np.arange(len(vectors), dtype=np.int32)[:, None]
    ids = np.hstack((itself, found.ids))
    distances = np.hstack((np.zeros((len(vectors), 1), np.float32), _distances(found).astype(np.float32)))
    reducer: Any = UMAP(
        n_neighbors=n_neighbors, random_state=seed, n_jobs=1, init=_scaled(places, _UMAP_WIDTH, seed),
        precomputed_knn=(ids, distances, None), low_memory=True,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that places once made take no new points
        return np.asarray(reducer.fit_transform(scoring.normalized(vectors)), np.float32)


def _distances(found: Neighbours) -> np.ndarray:
    """Return the distances between points on the unit sphere: sqrt(2 - 2 cos), float64."""
    return np.sqrt(np.maximum(2 - 2 * found.cosines.astype(np.float64), 0))


def _scaled(places: np.ndarray, width: float, seed: int) -> np.ndarray:
    """Return places of standard deviation `width`, float64, equal ones moved apart by a thousandth of that."""
    spread = float(places[:, 0].std()) or 1.0
    noise = np.random.default_rng(seed).normal(scale=width / 1000, size=places.shape)
    return np.asarray(places.astype(np.float64) * (width / spread) + noise)
