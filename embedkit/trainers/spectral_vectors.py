"""How `spectral` runs: the matrix, its singular vectors, and the vectors made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from embedkit.contracts import History, Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.trainers.crew import Crew, slices
from embedkit.trainers.racing import warm_up
from embedkit.trainers.seen import rows_of
from embedkit.trainers.spectral import SpectralOptions
from embedkit.trainers.subspace import Subspace, gram_product, n_parts

_OVERSAMPLING = 32  # directions besides those wanted, which make these converge sooner
_LEAST_LEVERAGE = 1e-9
_ROWS = 4096


def learn(corpus: Corpus, options: SpectralOptions, run: Run) -> Embeddings:
    """Learn vectors by a truncated SVD of the normalised matrix; losses are the shares of its squares left out.

    Raises
    ------
    EmbedkitError
        If there are fewer than two keys (or sentences) or tokens.
    """
    seen = rows_of(corpus, options.weighting)
    size = _size(options.vector_size, len(seen), len(corpus.tokens), run)
    _compile(run)
    width = min(size + _OVERSAMPLING, len(corpus.tokens))
    block = np.random.default_rng(options.seed).standard_normal((len(corpus.tokens), width), np.float32)
    matrix, scale = normalized(seen, len(corpus.tokens), options.key_exponent, options.token_exponent)
    task = Task(corpus, options, seen, size, scale)
    total = float(np.square(matrix.weights, dtype=np.float64).sum())  # type: ignore[arg-type]
    with Crew(options.workers, _progress(run, n_parts(len(block), width, options.iterations))) as crew:
        block = gram_product(matrix, block, crew)
        subspace = Subspace.spanned_by(matrix, block, crew)
        del block
        losses = [max(0.0, 1 - subspace.variance() / total)]
        while run.epoch_done(losses[-1], task.snapshot(subspace, losses)) and len(losses) < options.iterations:
            subspace = subspace.sharpened(crew)
            losses.append(max(0.0, 1 - subspace.variance() / total))
        return task.embeddings(subspace, losses, crew)


@dataclass(frozen=True)
class Task:
    """What is learned from, and how a subspace becomes embeddings.

    Attributes
    ----------
    seen
        The interactions, before they are normalised.
    size
        How many singular vectors are wanted.
    scale
        What the normalised matrix was divided by.
    """

    corpus: Corpus
    options: SpectralOptions
    seen: History
    size: int
    scale: float

    def snapshot(self, subspace: Subspace, losses: list[float]) -> Callable[[], Embeddings]:
        """Return what makes embeddings of the subspace as it is now, in threads of its own."""
        losses = list(losses)

        def make() -> Embeddings:
            with Crew(self.options.workers) as crew:
                return self.embeddings(subspace, losses, crew)

        return make

    def embeddings(self, subspace: Subspace, losses: list[float], crew: Crew) -> Embeddings:
        """Return the vectors that the best singular vectors within a subspace give."""
        options = self.options
        values, singular = subspace.singular_vectors(self.size, crew)
        totals = token_totals(self.seen, len(singular))
        vectors, context_vectors = np.empty_like(singular), np.empty_like(singular)

        def work(rows: slice) -> None:
            vectors[rows], context_vectors[rows] = vectors_of(values, singular[rows], totals[rows], options)

        crew.do(work, slices(len(singular), _ROWS))
        prior = options.prior / len(self.seen.indices) * (totals.astype(np.float32) @ vectors)
        return Embeddings.from_corpus(
            self.corpus,
            vectors,
            context_vectors=context_vectors,
            query="spectral",
            arrays={"prior": np.asarray(prior, np.float32), "singular_values": values * np.float32(self.scale)},
            config={"fold_in": {"weighting": options.weighting}},
            losses=losses,
        )


def token_totals(seen: History, n_tokens: int) -> np.ndarray:
    """Return the total weight of each token's interactions: float64 (n_tokens)."""
    return np.bincount(seen.indices, seen.weights, n_tokens)


def normalized(seen: History, n_tokens: int, key_exponent: float, token_exponent: float) -> tuple[History, float]:
    """Return N = D_k^-a R D_t^-b, D_k and D_t being the totals of R's rows and columns, divided by its greatest entry.

    Where no entry is above 1, float32 holds products of products. The second value is what N was divided by.

    With a = b = ½ it is the normalised adjacency of a bipartite graph (Dhillon 2001, KDD, for co-clustering; Shen et
    al. 2021, arXiv 2108.07567, for recommendations). That the exponents are free is embedkit's own.
    """
    rows = np.repeat(np.arange(len(seen)), np.diff(seen.indptr))
    of_keys = np.bincount(rows, seen.weights, len(seen))
    of_tokens = token_totals(seen, n_tokens)
    scale = of_keys[rows] ** -key_exponent * of_tokens[seen.indices] ** -token_exponent
    values = seen.weights * scale
    greatest = float(values.max())
    return History(seen.indptr, seen.indices, (values / greatest).astype(np.float32)), greatest


def vectors_of(
    values: np.ndarray, singular: np.ndarray, totals: np.ndarray, options: SpectralOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Return the input and output vectors that singular values s and right singular vectors V of N make of some tokens.

    A query is the sum of d^-b V f over a history, so the scores R D^-b V f Vᵀ D^b are those of N's low-rank image with
    the normalisation of tokens taken back and singular values shrunken by f = s^p / (s^p + (λ s₁²)^(p/2)), which for
    p = 2 is the factor s² / (s² + λ s₁²) of ridge regression on all tokens (EASE without its zero diagonal, Steck 2019,
    arXiv 1905.03375). What is recommended is then divided by d^δ and h^γ: d is the token's total, h = Σ f V² its
    leverage, the share of its score that it gives to itself. δ and γ are embedkit's own.

    Returns
    -------
    vectors, context_vectors
        float32 (n_tokens × vector_size): d^-b V f, and V d^(b-δ) h^-γ.
    """
    power = options.shrinkage_power
    grown = values.astype(np.float64) ** power
    pivot = (options.shrinkage * float(values[0]) ** 2) ** (power / 2)
    factors = np.divide(grown, grown + pivot, out=np.zeros_like(grown), where=grown > 0).astype(np.float32)
    leverage = np.maximum(np.einsum("ij,ij,j->i", singular, singular, factors, optimize=True), _LEAST_LEVERAGE)
    into = totals**-options.token_exponent
    out = totals ** (options.token_exponent - options.popularity_discount) * leverage**-options.leverage_discount
    return singular * into[:, None].astype(np.float32) * factors, singular * out[:, None].astype(np.float32)


def _size(asked: int, n_rows: int, n_tokens: int, run: Run) -> int:
    most = min(n_rows, n_tokens)
    if asked > most:
        run.say(
            f"Vectors have {most:,} numbers instead of {asked:,}: {n_rows:,} rows × {n_tokens:,} tokens hold no more."
        )
    return min(asked, most)


def _compile(run: Run) -> None:
    nothing = History(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    with Crew(1) as crew:
        warm_up(lambda: gram_product(nothing, np.zeros((1, 1), np.float32), crew), run)


def _progress(run: Run, total: int) -> Callable[[int], None]:
    """Return what a crew calls to tell how far it is."""
    done = 0

    def watch(parts: int) -> None:
        nonlocal done
        done = min(done + parts, total)
        run.progress(done, total, unit="parts")

    watch(0)
    return watch
