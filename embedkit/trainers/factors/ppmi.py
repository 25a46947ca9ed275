"""How `spectral` runs on tokens × tokens: positive pointwise mutual information, and its singular vectors.

Levy, Goldberg and Dagan 2015 (TACL 3, 211-225): with X the counts of tokens near each other and k the shift,

    M_tc = max(0, log (X_tc Σ_x X_x^α / (X_t X_c^α)) - log k)

for the token t and the context c, where X_t is the sum of row t, and α smooths the contexts' distribution. M ≈ U S Vᵀ
gives tokens the vectors U S^p and contexts V S^p.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from embedkit.contracts import History, Run
from embedkit.corpus import Corpus
from embedkit.corpus.columns import Column
from embedkit.corpus.cooccurrence import Cooccurrences, count_cooccurrences
from embedkit.corpus.workdir import WorkFolder
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.memory import available_bytes, check_fits, smaller
from embedkit.trainers.factors import kernels_ppmi
from embedkit.trainers.factors.subspace import Subspace, gram_product, n_parts
from embedkit.trainers.machinery.counting_parts import count_parts
from embedkit.trainers.machinery.crew import Crew, slices
from embedkit.trainers.machinery.needs import WORKING
from embedkit.trainers.machinery.racing import warm_up
from embedkit.trainers.spectral import SpectralOptions

_OVERSAMPLING = 32  # directions besides those wanted, which make these converge sooner
_ROWS = 1 << 10
_PARTS_AT_ONCE = 8
_LEAST = 1e-3  # of the greatest singular value: what is below is rounding
_TABLES = 5  # of n_tokens × width float32, that the search for singular vectors holds at its peak


def learn(corpus: Corpus, options: SpectralOptions, run: Run) -> Embeddings:
    """Learn vectors of tokens from what occurs near what; losses are the shares of the squares left out.

    Raises
    ------
    EmbedkitError
        If nothing occurs together, or not more often than chance and the shift ask for, or memory or disk are short.
    """
    n = len(corpus.tokens)
    if n < 2:
        raise EmbedkitError("there is a single token, so nothing to tell apart; this trainer needs two or more.")
    size = min(options.vector_size, n)
    width = min(size + _OVERSAMPLING, n)
    _check_memory(n, width)
    if size < options.vector_size:
        run.say(f"Vectors have {size:,} numbers instead of {options.vector_size:,}: there are no more tokens.")
    with Crew(options.workers) as crew:
        warm_up(lambda: _compile(run), run)
        matrix, folder = _counted(corpus, options, run, crew)
    block = np.random.default_rng(options.seed).standard_normal((n, width), np.float32)
    with Crew(options.workers, _progress(run, n_parts(n, width, options.iterations))) as crew:
        total = _squares(matrix)
        subspace = Subspace.spanned_by(matrix, gram_product(matrix, block, crew), crew)
        del block
        losses = [max(0.0, 1 - subspace.variance() / total)]

        def snapshot() -> Embeddings:
            with Crew(options.workers) as own:
                return _embeddings(corpus, options, subspace, size, list(losses), own)

        while run.epoch_done(losses[-1], snapshot) and len(losses) < options.iterations:
            subspace = subspace.sharpened(crew)
            losses.append(max(0.0, 1 - subspace.variance() / total))
        made = _embeddings(corpus, options, subspace, size, losses, crew)
    folder.remove()
    return made


def ppmi(counts: Cooccurrences, shift: float, smoothing: float, crew: Crew, folder: WorkFolder) -> History:
    """Return Mᵀ, contexts × tokens, without its zeros, memory-mapped in `folder`.

    Raises
    ------
    EmbedkitError
        If nothing is left.
    """
    totals = counts.totals
    of_tokens = np.log(totals, out=np.zeros_like(totals), where=totals > 0)
    of_contexts = smoothing * of_tokens - np.log(np.sum(totals[totals > 0] ** smoothing)) + np.log(shift)
    indices, values = Column(folder.path / "ppmi.indices", np.int32), Column(folder.path / "ppmi.values", np.float32)
    lengths = [np.zeros(1, np.int64)]

    def work(rows: slice) -> tuple[np.ndarray, ...]:
        room = int(counts.indptr[rows.stop] - counts.indptr[rows.start])
        of_rows = np.empty(rows.stop - rows.start, np.int64)
        out = np.empty(room, np.int32), np.empty(room, np.float32)
        n = kernels_ppmi.positive(
            counts.indptr, counts.indices, counts.counts, rows.start, rows.stop, of_contexts, of_tokens, of_rows, *out
        )
        return of_rows, out[0][:n], out[1][:n]

    parts = slices(counts.n_tokens, _ROWS)
    for start in range(0, len(parts), _PARTS_AT_ONCE):
        for of_rows, some_indices, some_values in crew.do(work, parts[start : start + _PARTS_AT_ONCE]):
            lengths.append(of_rows)
            indices.append(some_indices)
            values.append(some_values)
    matrix = History(np.cumsum(np.concatenate(lengths)), indices.finish(), values.finish())
    if len(matrix.indices) == 0:
        raise EmbedkitError(
            f"no two tokens occur together {shift:g} times as often as by chance; lower --shift or widen the --window."
        )
    return matrix


def _squares(matrix: History) -> float:
    """Return the sum of squares, of a piece at a time, as the matrix may be larger than memory."""
    assert matrix.weights is not None
    pieces = (matrix.weights[piece].astype(np.float64) for piece in slices(len(matrix.indices), 1 << 20))
    return float(sum(np.dot(piece, piece) for piece in pieces))


def _counted(corpus: Corpus, options: SpectralOptions, run: Run, crew: Crew) -> tuple[History, WorkFolder]:
    how = options.window, options.distance_weighting
    if run.engine is None:
        counts = count_cooccurrences(
            corpus,
            *how,
            crew,
            work_dir=run.work_dir,
            told=lambda done, total: run.progress(done, total, unit="tokens counted"),
        )
    else:
        counts = count_parts(corpus, *how, options.workers, run)  # type: ignore[arg-type]  # in partitions
    if not len(counts):
        raise EmbedkitError("every sentence has a single token, so nothing occurs together; check how they are split.")
    folder = WorkFolder(run.work_dir)
    return ppmi(counts, options.shift, options.context_smoothing, crew, folder), folder


def _embeddings(
    corpus: Corpus, options: SpectralOptions, subspace: Subspace, size: int, losses: list[float], crew: Crew
) -> Embeddings:
    """Return the vectors that the best singular vectors within a subspace give."""
    values, left = subspace.singular_vectors(size, crew)
    assert isinstance(subspace.matrix, History)
    right = _contexts(subspace.matrix, values, left, crew)
    powers = np.where(values > 0, np.maximum(values, np.finfo(np.float32).tiny) ** options.eigenvalue_exponent, 0)
    left *= powers.astype(np.float32)
    right *= powers.astype(np.float32)
    if options.keep == "sum":
        left += right
    return Embeddings.from_corpus(
        corpus,
        left,
        context_vectors=right if options.keep == "both" else None,
        arrays={"singular_values": values},
        losses=losses,
    )


def _contexts(matrix: History, values: np.ndarray, vectors: np.ndarray, crew: Crew) -> np.ndarray:
    """Return the other side's singular vectors: Mᵀ U S⁻¹, zeros where a singular value is."""
    made = np.empty_like(vectors)

    def work(rows: slice) -> None:
        kernels_ppmi.multiply(matrix.indptr, matrix.indices, matrix.weights, rows.start, rows.stop, vectors, made)
        made[rows] *= np.divide(1, values, out=np.zeros_like(values), where=values > _LEAST * values[0])

    crew.do(work, slices(len(made), _ROWS))
    return made


def _check_memory(n_tokens: int, width: int) -> None:
    available = available_bytes()
    fits = 0 if available is None else max(0, (available - WORKING) // (4 * _TABLES * n_tokens) - _OVERSAMPLING)
    check_fits(
        4 * _TABLES * n_tokens * width + WORKING,
        f"singular vectors of {n_tokens:,} tokens × {width:,}",
        smaller(fits, "take fewer tokens by a higher --min-count"),
    )


def _compile(run: Run) -> None:
    """Count a few tokens, and multiply by their matrix."""
    corpus = Corpus.from_sentences([["a", "b"], ["c", "d"]], work_dir=run.work_dir)
    folder = WorkFolder(run.work_dir)
    with Crew(1) as crew:
        counts = count_cooccurrences(corpus, 1, "flat", crew, work_dir=run.work_dir)
        matrix = ppmi(counts, 1, 1, crew, folder)
        block = gram_product(matrix, np.ones((4, 1), np.float32), crew)
        _contexts(matrix, np.ones(1, np.float32), block, crew)


def _progress(run: Run, total: int) -> Callable[[int], None]:
    """Return what a crew calls to tell how far it is."""
    done = 0

    def watch(parts: int) -> None:
        nonlocal done
        done = min(done + parts, total)
        run.progress(done, total, unit="parts")

    watch(0)
    return watch
