"""Where `contrastive` begins: small random vectors, singular vectors of who interacted with what, or a model's own."""

from __future__ import annotations

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.trainers.contrastive import ContrastiveOptions
from embedkit.trainers.factors.seen import rows_of
from embedkit.trainers.factors.spectral_factors import normalized
from embedkit.trainers.factors.subspace import Subspace, gram_product
from embedkit.trainers.machinery.crew import Crew
from embedkit.trainers.machinery.growth import Known

_DEVIATION = 0.1  # of the numbers of a vector at the start
_NOISE = 0.01  # besides singular vectors, so that none is zero and no two are the same
_EXPONENT = 0.35
_OVERSAMPLING = 32
_ITERATIONS = 2


def random_vectors(corpus: Corpus, size: int, seed: int, crew: Crew) -> np.ndarray:
    """Return normally distributed vectors: float32 (n_tokens × size)."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((len(corpus.tokens), size), np.float32) * np.float32(_DEVIATION)


def singular_vectors(corpus: Corpus, size: int, seed: int, crew: Crew) -> np.ndarray:
    """Return V S, where U S Vᵀ is the degree-normalised matrix of histories and tokens, scaled, and noise.

    float32 (n_tokens × size); columns beyond the matrix' rank are noise alone.
    """
    made = random_vectors(corpus, size, seed, crew) * np.float32(_NOISE / _DEVIATION)
    seen = rows_of(corpus, "logarithm")
    matrix, _ = normalized(seen, len(made), _EXPONENT, _EXPONENT)
    rank = min(size, len(seen), len(made))
    block = np.random.default_rng(seed).standard_normal((len(made), min(rank + _OVERSAMPLING, len(made))), np.float32)
    subspace = Subspace.spanned_by(matrix, gram_product(matrix, block, crew), crew)
    for _ in range(_ITERATIONS - 1):
        subspace = subspace.sharpened(crew)
    values, singular = subspace.singular_vectors(rank, crew)
    singular *= values
    made[:, :rank] += singular * np.float32(_DEVIATION / np.sqrt(np.square(singular).mean()))
    return made


def grow(
    run: Run, known: Known, counts: np.ndarray, options: ContrastiveOptions, table: np.ndarray, offsets: np.ndarray
) -> None:
    """Put the vectors and offsets of `run.start` in their place; offsets follow the counts, as at a training's start.

    Parameters
    ----------
    known
        The model's tokens.
    counts
        int64 (n_tokens), of all tokens.
    table, offsets
        float32 (n_tokens × numbers without offset) and (n_tokens), which are changed.
    """
    start = run.start
    assert start is not None
    assert start.counts is not None
    known.put(table, start.vectors[:, : table.shape[1]])
    if not start.config.get("offsets"):
        return
    usual, before = (options.popularity * np.log(np.maximum(n, 1)) for n in (counts, start.counts[known.before]))
    learned = start.targets[known.before, -1] / options.temperature + run.drift * (usual[known.now] - before)
    offsets[:] = usual + np.mean(learned - usual[known.now])
    offsets[known.now] = learned
