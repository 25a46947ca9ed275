"""How `spectral` runs: the matrix, its singular vectors, and the vectors made of them."""

from __future__ import annotations

import numpy as np

from embedkit.contracts import History, Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.trainers.crew import Crew
from embedkit.trainers.racing import warm_up
from embedkit.trainers.seen import rows_of
from embedkit.trainers.spectral import SpectralOptions
from embedkit.trainers.subspace import Subspace, gram_product, n_parts

_OVERSAMPLING = 32  # directions besides those wanted, which make these converge sooner
_LEAST_LEVERAGE = 1e-9


def learn(corpus: Corpus, options: SpectralOptions, run: Run) -> Embeddings:
    """Learn vectors by a truncated SVD of the normalised matrix; losses are the shares of its squares not explained.

    Raises
    ------
    EmbedkitError
        If there are fewer than two keys (or sentences) or tokens.
    """
    seen = rows_of(corpus, options.weighting)
    n_tokens = len(corpus.tokens)
    matrix = normalized(seen, n_tokens, options.key_exponent, options.token_exponent)
    size = _size(options.vector_size, len(seen), n_tokens, run)
    block = np.random.default_rng(options.seed).standard_normal(
        (n_tokens, min(size + _OVERSAMPLING, n_tokens)), np.float32
    )
    with Crew(1) as alone:
        nothing = History(matrix.indptr[:1], matrix.indices[:0], matrix.weights[:0])  # type: ignore[index]
        warm_up(lambda: gram_product(nothing, block[:, :1], alone), run)
    losses: list[float] = []

    def result(subspace: Subspace, crew: Crew | None = None) -> Embeddings:
        if crew is None:
            with Crew(options.workers) as crew:
                return result(subspace, crew)
        values, vectors = subspace.singular_vectors(size, crew)
        return _embeddings(corpus, options, seen, values, vectors, losses)

    with Crew(options.workers, _progress(run, n_parts(*block.shape, options.iterations))) as crew:
        block = gram_product(matrix, block, crew)
        subspace = Subspace.spanned_by(matrix, block, crew)
        del block
        total = float(np.square(matrix.weights, dtype=np.float64).sum())
        for iteration in range(options.iterations):
            if iteration:
                subspace = subspace.sharpened(crew)
            losses.append(max(0.0, 1 - subspace.variance() / total))
            if not run.epoch_done(losses[-1], lambda now=subspace: result(now)):
                break
        return result(subspace, crew)
