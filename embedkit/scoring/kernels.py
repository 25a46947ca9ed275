"""The numba kernel that keeps the best of blocks of scores; imported only where it pays for its compilation."""

from __future__ import annotations

import numpy as np

from embedkit.compiled import kernel

_CHUNK = 64
_MAGNITUDE = np.int32(0x7FFFFFFF)
_HIGHEST = np.float32(np.inf).view(np.int32)
_LOWEST = np.int32(np.float32(-np.inf).view(np.int32) ^ _MAGNITUDE)


@kernel(inline="always")
def _sortable(bits):  # type: ignore[no-untyped-def]
    """Return the int32 that sorts among its like as the float32 of these bits does."""
    return np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & _MAGNITUDE))


@kernel(inline="always")
def _worse(score_a, id_a, score_b, id_b):  # type: ignore[no-untyped-def]
    return score_a < score_b or (score_a == score_b and id_a > id_b)


@kernel
def _replace_worst(heap_scores, heap_ids, score, candidate):  # type: ignore[no-untyped-def]
    """Put `score` in the place of the heap's root, which is the worst that it holds, and let it sink."""
    size = heap_scores.shape[0]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _worse(heap_scores[right], heap_ids[right], heap_scores[child], heap_ids[child]):
            child = right
        if _worse(score, candidate, heap_scores[child], heap_ids[child]):
            break
        heap_scores[place] = heap_scores[child]
        heap_ids[place] = heap_ids[child]
        place = child
    heap_scores[place] = score
    heap_ids[place] = candidate


@kernel
def keep_best(scores, first, row_start, row_stop, indptr, indices, banned, stamps, best_ids, best_scores):  # type: ignore[no-untyped-def]
    """Merge a block of scores into the best that were met before.

    Parameters
    ----------
    scores
        float32 (rows × m): of candidates `first` to `first + m`.
    row_start, row_stop
        The rows that this call works on, so that threads can share all arrays.
    indptr, indices
        Compressed rows of the candidates that are left out, a row a query.
    banned
        bool (n_candidates), those that are left out of every row; or of length 0.
    stamps
        int64 (at least m) for this thread alone, filled with -1 before each block.
    best_ids, best_scores
        int32 and float32 (rows × k): heaps whose root is the worst kept, filled with -1 and -inf at first.

    Returns
    -------
    int
        The first row in which a score is not finite, or -1.
    """
    m = scores.shape[1]
    for row in range(row_start, row_stop):
        for entry in range(indptr[row], indptr[row + 1]):
            column = indices[entry] - first
            if 0 <= column < m:
                stamps[column] = row
        heap_scores, heap_ids, line = best_scores[row], best_ids[row], scores[row]
        bits, heap_bits = line.view(np.int32), heap_scores.view(np.int32)
        for start in range(0, m, _CHUNK):
            part = bits[start : start + _CHUNK]
            # Sorted like the floats they stand for, integers can be compared a vector register at a time, which
            # floats cannot be without giving up NaN. What is not finite lies above or below all that is.
            high, low = _LOWEST, _HIGHEST
            for i in range(len(part)):
                key = _sortable(part[i])
                high, low = max(high, key), min(low, key)
            if low > _LOWEST and high <= _sortable(heap_bits[0]):
                continue
            threshold = heap_scores[0]
            stop = start + len(part)
            for column in range(start, stop):
                score = line[column]
                if not np.isfinite(score):
                    return row
                if score <= threshold or stamps[column] == row:
                    continue
                if banned.shape[0] > 0 and banned[first + column]:
                    continue
                _replace_worst(heap_scores, heap_ids, score, np.int32(first + column))
                threshold = heap_scores[0]
    return -1
