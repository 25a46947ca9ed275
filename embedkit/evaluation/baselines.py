"""What every model must beat: popularity, ItemKNN and EASE. All take a history as a set; none knows of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.contracts import History
from embedkit.errors import EmbedkitError, OptionError
from embedkit.evaluation.rankers import SCORES, WORTH_KERNEL, Ranker, WholeRows, copied
from embedkit.memory import available_bytes, available_cores, readable
from embedkit.names import Names
from embedkit.scoring import Ranked, Rows, rank

if TYPE_CHECKING:
    import scipy.sparse

    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings

_PATIENCE = 90.0  # seconds that EASE may take where nobody asked for it
_RATE = 30e9  # n³ a second and core of its inverse, as measured

_BYTES_A_SIMILARITY = 37  # while they are brought into order
_FEW = 1 / 64  # of all pairs of tokens: where fewer meet, sorting those is faster than looking at all

_NO_HISTORIES = "the model holds no histories to learn from"


class TrainPart:
    """What baselines learn from: histories, of keys or of sentences that belong to nobody."""

    def __init__(self, tokens: Names, counts: np.ndarray, keys: Names | None, histories: History | None) -> None:
        self.tokens, self.counts, self.keys, self.histories = tokens, counts, keys, histories

    @classmethod
    def of_corpus(cls, corpus: Corpus, *, by_sentence: bool = False) -> TrainPart:
        """Take a corpus: its keys' histories; its sentences where it has no keys, or `by_sentence`."""
        histories = corpus.histories()
        if by_sentence or histories is None:
            return cls(corpus.tokens, corpus.counts, None, History(corpus.offsets, corpus.ids))
        return cls(corpus.tokens, corpus.counts, corpus.keys, histories)

    @classmethod
    def of_model(cls, embeddings: Embeddings) -> TrainPart | None:
        """Take the counts and histories that a model holds, or None where it holds neither."""
        counts = embeddings.counts
        if counts is None:
            if embeddings.histories is None:
                return None
            counts = np.bincount(embeddings.histories.indices, minlength=len(embeddings)).astype(np.int64)
        return cls(embeddings.tokens, counts, embeddings.keys, embeddings.histories)

    def matrix(self) -> scipy.sparse.csr_matrix:
        """Return float32 (n histories × n_tokens), 1 where a token is in a history."""
        if self.histories is None:
            raise EmbedkitError(f"{_NO_HISTORIES}.")
        return _as_sets(self.histories, len(self.tokens))


def _as_sets(history: History, n_tokens: int) -> scipy.sparse.csr_matrix:
    from scipy.sparse import csr_matrix

    begin, end = history.indptr[0], history.indptr[-1]
    ones = np.ones(end - begin, np.float32)
    matrix = csr_matrix((ones, history.indices[begin:end], history.indptr - begin), (len(history), n_tokens), copy=True)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


class Popularity(Ranker):
    """The most frequent tokens, for everybody."""

    name = "popularity"

    def __init__(self, part: TrainPart) -> None:
        super().__init__(part.tokens, part.counts, part.keys, part.histories)

    def answers(self, keys: np.ndarray, history: History) -> np.ndarray:
        """Return bool; who is known is answered."""
        return keys >= 0

    def best(self, keys: np.ndarray | None, history: History, k: int, exclude: Rows | None) -> Ranked:
        """Return the most frequent tokens that are not left out."""
        counts = np.asarray(self.counts, np.float32)

        def score(rows: slice, items: slice | np.ndarray, out: np.ndarray) -> None:
            out[:] = counts[items]

        return rank(score, len(history), len(self), k, exclude=exclude)


class ItemKNN(WholeRows):
    """Neighbours of tokens by the cosine of the sets of histories that they are in.

    s_ij = n_ij / (√(n_i n_j) + shrinkage), where n_ij histories hold both and n_i the token i; for each token j only
    the `neighbours` greatest s_ij are kept; a history scores j by the sum of s_ij over its tokens i. As in Dacrema,
    Cremonesi and Jannach 2019 (arXiv 1907.06902), with binary ratings.

    Parameters
    ----------
    neighbours
        How many similarities a token keeps; equal ones by lower id.
    shrinkage
        How much tokens that few histories hold are distrusted.
    """

    name = "ItemKNN"

    def __init__(self, part: TrainPart, neighbours: int = 100, shrinkage: float = 100.0) -> None:
        super().__init__(part.tokens, part.counts, part.keys, part.histories)
        self.similarities = item_similarities(part.matrix(), neighbours, shrinkage)

    def scores(self, history: History) -> np.ndarray:
        """Return the sums of the similarities to the tokens of each history."""
        return np.asarray((_as_sets(history, len(self)) @ self.similarities).toarray(), np.float32)


def item_similarities(matrix: scipy.sparse.csr_matrix, neighbours: int, shrinkage: float) -> scipy.sparse.csr_matrix:
    """Return s_ij of `ItemKNN`: float32, n_tokens × n_tokens, column j the neighbours of j."""
    from scipy.sparse import csr_matrix, vstack

    if neighbours < 1:
        raise OptionError("neighbours", f"must be a whole number of at least 1; got {neighbours!r}.")
    if not (np.isfinite(shrinkage) and shrinkage >= 0):
        raise OptionError("shrinkage", f"must be a number of at least 0; got {shrinkage!r}.")
    columns = matrix.T.tocsr()
    n = matrix.shape[1]
    norms = np.sqrt(np.diff(columns.indptr)).astype(np.float32)
    # At most so many others are met by the tokens before each one.
    met = np.concatenate((np.zeros(1, np.int64), np.cumsum(columns @ np.diff(matrix.indptr).astype(np.int64))))
    few = met[-1] < _FEW * n * n
    blocks, start = [], 0
    while start < n:
        fitting = np.searchsorted(met, met[start] + SCORES // 4, "right") - 1 if few else start + SCORES // n
        stop = min(n, max(start + 1, int(fitting)))
        both = (columns[start:stop] @ matrix).tocoo()
        values = both.data / (norms[both.row + start] * norms[both.col] + np.float32(shrinkage))
        block = csr_matrix((values, (both.row, both.col)), both.shape)
        nearest = _nearest_of_few if few else _nearest
        blocks.append(nearest(block, start, min(neighbours, n)))
        start = stop
    return csr_matrix(vstack(blocks).T.tocsr(), dtype=np.float32)


def _nearest(similarities: scipy.sparse.csr_matrix, start: int, neighbours: int) -> scipy.sparse.csr_matrix:
    """Return the greatest of each row above zero: of tokens `start` and up, the diagonal left out."""
    from scipy.sparse import csr_matrix

    height, n = similarities.shape
    itself = Rows(np.arange(height + 1, dtype=np.int64), np.arange(start, start + height, dtype=np.int32))
    score = copied(similarities.toarray())
    ids, values = rank(score, height, n, neighbours, exclude=itself, kernel=n * n >= WORTH_KERNEL)
    rows, places = np.nonzero((ids >= 0) & (values > 0))
    return csr_matrix((values[rows, places], (rows, ids[rows, places])), similarities.shape)


def _nearest_of_few(similarities: scipy.sparse.csr_matrix, start: int, neighbours: int) -> scipy.sparse.csr_matrix:
    """Return the same by sorting what is not zero, which takes no time for pairs that never met."""
    from scipy.sparse import csr_matrix

    met = similarities.tocoo()
    others = met.row + start != met.col
    rows, columns, values = met.row[others], met.col[others], met.data[others]
    order = np.lexsort((columns, -values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = place < neighbours
    return csr_matrix((values[kept], (rows[kept], columns[kept])), similarities.shape)


class EASE(WholeRows):
    """A linear item-item model in closed form (Steck 2019, arXiv 1905.03375).

    With G = XᵀX + λI and P = G⁻¹: B_ij = -P_ij / P_jj off the diagonal, 0 on it; a history x scores xB.

    Parameters
    ----------
    regularization
        λ, above zero.

    Raises
    ------
    EmbedkitError
        If there is no memory for it; `ease_obstacle` tells beforehand.
    """

    name = "EASE"

    def __init__(self, part: TrainPart, regularization: float = 500.0) -> None:
        if not (np.isfinite(regularization) and regularization > 0):
            raise OptionError("regularization", f"must be a number above 0; got {regularization!r}.")
        obstacle = ease_obstacle(len(part.tokens), most_tokens=float("inf"))
        if obstacle:
            raise EmbedkitError(f"EASE cannot run: {obstacle}.")
        super().__init__(part.tokens, part.counts, part.keys, part.histories)
        self.weights = ease_weights(part.matrix(), regularization)

    def scores(self, history: History) -> np.ndarray:
        """Return the sums of the weights from the tokens of each history."""
        return np.ascontiguousarray(_as_sets(history, len(self)) @ self.weights, np.float32)


def ease_weights(matrix: scipy.sparse.csr_matrix, regularization: float) -> np.ndarray:
    """Return B of `EASE`: float32 (n_tokens × n_tokens). One such matrix is held, and inverted in its place."""
    from scipy.linalg.lapack import spotrf, spotri

    n = matrix.shape[1]
    gram = np.zeros((n, n), np.float32, order="F")
    for start in range(0, n, 1024):
        gram[:, start : start + 1024] = (matrix.T @ matrix[:, start : start + 1024]).toarray()
    gram[np.diag_indices(n)] += regularization
    factor, wrong = spotrf(gram, lower=1, overwrite_a=1)
    inverse, also_wrong = spotri(factor, lower=1, overwrite_c=1)
    if wrong or also_wrong:
        raise EmbedkitError("EASE cannot invert its matrix in single precision; give a greater regularization.")
    diagonal = inverse.diagonal().copy()
    for start in range(0, n, 1024):  # only the lower triangle is there
        stop = min(start + 1024, n)
        corner = np.tril(inverse[start:stop, start:stop])
        inverse[start:stop, start:stop] = corner + np.tril(corner, -1).T
        inverse[start:stop, stop:] = inverse[stop:, start:stop].T
    inverse = inverse.T  # symmetric: the same matrix, its rows now contiguous, as sparse products want them
    inverse /= -diagonal
    inverse[np.diag_indices(n)] = 0
    return inverse


def ease_seconds(n_tokens: int) -> float:
    """Return about how long EASE takes to invert its matrix on this machine's cores."""
    return float(n_tokens) ** 3 / (_RATE * available_cores())


def ease_obstacle(n_tokens: int, most_tokens: float | None = None) -> str:
    """Return why EASE is left out for so many tokens, or an empty text where it fits.

    Its matrix and the work to score with it take 4 n² bytes; half of the memory that is free may be used. Its time
    grows with n³: without a limit to the tokens, a minute and a half is the most.
    """
    needed = 4 * n_tokens**2
    available = available_bytes()
    if available is not None and 2 * needed > available:
        return f"its {n_tokens:,} × {n_tokens:,} matrix takes {readable(needed)} of {readable(available)} free"
    if most_tokens is None and ease_seconds(n_tokens) > _PATIENCE:
        minutes = round(ease_seconds(n_tokens) / 60)
        return f"inverting a matrix of {n_tokens:,} tokens takes about {minutes:,} minutes; a higher limit allows it"
    if most_tokens is not None and n_tokens > most_tokens:
        return f"there are {n_tokens:,} tokens; the limit is {most_tokens:,}"
    return ""


def knn_obstacle(part: TrainPart, neighbours: int = 100) -> str:
    """Return why ItemKNN is left out, or an empty text where its similarities fit into memory."""
    assert part.histories is not None
    lengths = np.diff(part.histories.indptr)
    begin, end = part.histories.indptr[0], part.histories.indptr[-1]
    others = np.repeat(lengths - 1, lengths)
    met = np.bincount(part.histories.indices[begin:end], weights=others, minlength=len(part.tokens))
    needed, available = int(_BYTES_A_SIMILARITY * np.minimum(met, neighbours).sum()), available_bytes()
    if available is not None and needed > available:
        return f"its similarities take {readable(needed)} and {readable(available)} are free"
    return ""


def baselines(part: TrainPart, *, most_ease_tokens: int | None = None) -> tuple[list[Any], dict[str, str]]:
    """Return the kinds of baselines that fit (each is to be called with `part`), and why others are left out."""
    if part.histories is None:
        return [Popularity], dict.fromkeys((ItemKNN.name, EASE.name), _NO_HISTORIES)
    obstacles: dict[Any, str] = {ItemKNN: knn_obstacle(part), EASE: ease_obstacle(len(part.tokens), most_ease_tokens)}
    kinds: list[Any] = [Popularity, *(kind for kind, obstacle in obstacles.items() if not obstacle)]
    return kinds, {kind.name: obstacle for kind, obstacle in obstacles.items() if obstacle}
