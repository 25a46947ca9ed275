"""Who may be learned at the same time: parts of the vocabulary that meet in pairs, as players in a tournament.

Entries of a matrix over tokens lie in blocks, one for each two parts. Blocks of one round have no token in common, so
that they can be learned from side by side and the result has the same bits on any number of threads or machines.
Gemulla et al. 2011 (KDD: DSGD) do this for rows and columns of their own; a symmetric matrix, whose tokens are both,
needs pairs that are disjoint.
"""

from __future__ import annotations

import numpy as np


def rounds(n_parts: int) -> list[list[tuple[int, int]]]:
    """Return rounds of pairs (a, b), a ≥ b: in each no part is met twice, in all of them every pair once.

    The first round has each part by itself. The others are the circle method of round-robin tournaments.
    """
    result = [[(part, part) for part in range(n_parts)]]
    circle = list(range(n_parts + n_parts % 2))
    for _ in range(len(circle) - 1):
        half = len(circle) // 2
        pairs = zip(circle[:half], circle[: half - 1 : -1], strict=True)
        result.append([(max(pair), min(pair)) for pair in pairs if max(pair) < n_parts])
        circle = [circle[0], circle[-1], *circle[1:-1]]
    return [met for met in result if met]


def bounds(indptr: np.ndarray, n_parts: int) -> np.ndarray:
    """Return where parts of about equally many entries begin and end: int64, at most n_parts + 1; none is empty.

    Tokens lie in order of frequency, so the first parts have few tokens, whose rows stay in the cache.
    """
    inner = np.searchsorted(indptr, np.linspace(0, indptr[-1], n_parts + 1)[1:-1])
    return np.unique(np.concatenate(([0], inner, [len(indptr) - 1]))).astype(np.int64)
