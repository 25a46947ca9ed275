"""Random walks over compressed rows: free functions over arrays, compiled by numba when first called.

Nothing is kept for a pair of edges. The next node is proposed as the node's own weights have it, and accepted as far
as the walk's last step allows (rejection sampling; KnightKing, Yang et al. 2019, folds the return edge's excess out
in the same way). What is accepted has exactly the probabilities of node2vec's equations.
"""

import numpy as np
from numba import njit

_STEP = np.uint64(0x9E3779B97F4A7C15)
_TRIES = 16


@njit(inline="always", nogil=True, cache=True, error_model="numpy")
def _mixed(z):
    """Return 64 bits, each of which depends on all of z's (the finalizer of splitmix64)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(inline="always", nogil=True, cache=True, error_model="numpy")
def _uniform(state):
    """Return the generator's next state, and a number in [0, 1) of 53 bits."""
    state = state + _STEP
    return state, np.float64(_mixed(state) >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True, error_model="numpy")
def alias_rows(indptr, weights, accept, alias, totals):
    """Prepare draws by weight: an alias table (Walker 1977, Vose 1991) for each row, as long as the row.

    Parameters
    ----------
    indptr : int64 (n + 1)
    weights : float32 (m), above 0
    accept : float32 (m)
        Receives with what probability the slot itself is taken.
    alias : int32 (m)
        Receives the slot (counted from the row's beginning) that is taken else.
    totals : float64 (n)
        Receives the sums of the rows.
    """
    longest = np.int64(0)
    for row in range(len(indptr) - 1):
        longest = max(longest, indptr[row + 1] - indptr[row])
    share = np.empty(longest, np.float64)
    slots = np.empty(longest, np.int64)
    for row in range(len(indptr) - 1):
        begin, n = indptr[row], indptr[row + 1] - indptr[row]
        total = 0.0
        for k in range(n):
            total += np.float64(weights[begin + k])
        totals[row] = total
        # Slots with less than a mean share fill the stack from below, the others from above.
        small, large = 0, n
        for k in range(n):
            share[k] = np.float64(weights[begin + k]) * n / total
            accept[begin + k] = 1.0
            alias[begin + k] = k
            if share[k] < 1.0:
                slots[small] = k
                small += 1
            else:
                large -= 1
                slots[large] = k
        while small > 0 and large < n:
            small -= 1
            poor, rich = slots[small], slots[large]
            accept[begin + poor] = share[poor]
            alias[begin + poor] = rich
            share[rich] -= 1.0 - share[poor]
            if share[rich] < 1.0:
                large += 1
                slots[small] = rich
                small += 1


@njit(nogil=True, cache=True, error_model="numpy")
def parts(indptr, indices, root):
    """Find the parts of a graph between which there is no edge, whichever way edges lead.

    Parameters
    ----------
    indptr, indices : int64 (n + 1), int32 (m)
    root : int32 (n)
        Receives for each node one that stands for its part (union-find, paths halved).
    """
    for v in range(len(root)):
        root[v] = v
    for v in range(len(root)):
        for entry in range(indptr[v], indptr[v + 1]):
            a, b = np.int64(v), np.int64(indices[entry])
            while root[a] != a:
                root[a] = root[root[a]]
                a = np.int64(root[a])
            while root[b] != b:
                root[b] = root[root[b]]
                b = np.int64(root[b])
            root[max(a, b)] = min(a, b)
    # Each node's root is numbered below it, so those before it are settled.
    for v in range(len(root)):
        root[v] = root[root[v]]


@njit(inline="always", nogil=True, cache=True, error_model="numpy")
def _propose(state, begin, end, accept, alias):
    """Return the state, and an entry of a row drawn by its weight (evenly where there are no tables)."""
    state, u = _uniform(state)
    place = u * (end - begin)
    slot = np.int64(place)
    if len(accept) and place - slot >= accept[begin + slot]:
        slot = np.int64(alias[begin + slot])
    return state, begin + slot


@njit(inline="always", nogil=True, cache=True, error_model="numpy")
def _find(indices, begin, end, node):
    """Return where a node stands in a row, which is in order; -1 where it does not."""
    low, high = begin, end
    while low < high:
        middle = (low + high) >> 1
        if indices[middle] < node:
            low = middle + 1
        else:
            high = middle
    return low if low < end and indices[low] == node else np.int64(-1)


@njit(inline="always", nogil=True, cache=True, error_model="numpy")
def _adjacent(indptr, indices, last, node, symmetric):
    """Tell whether an edge leads from `last` to `node`; where edges go both ways, the shorter row tells."""
    if symmetric and indptr[node + 1] - indptr[node] < indptr[last + 1] - indptr[last]:
        last, node = node, last
    return _find(indices, indptr[last], indptr[last + 1], node) >= 0


@njit(inline="always", nogil=True, cache=True, error_model="numpy")
def _bias(indptr, indices, last, node, back, out, symmetric):
    """Return the factor of equation 2 of Grover & Leskovec: back to `last`, beside it, or away from it."""
    if node == last:
        return back
    return 1.0 if _adjacent(indptr, indices, last, node, symmetric) else out


@njit(nogil=True, cache=True, error_model="numpy")
def _scan(state, indptr, indices, weights, here, last, back, out, symmetric):
    """Return the state, and an entry of `here`'s row, drawn by going through all of it."""
    begin, end = indptr[here], indptr[here + 1]
    state, u = _uniform(state)
    left = -1.0
    for _ in range(2):  # the first round adds up, the second stops where the drawn number lies
        total = 0.0
        for entry in range(begin, end):
            weight = np.float64(weights[entry]) if len(weights) else 1.0
            total += weight * _bias(indptr, indices, last, indices[entry], back, out, symmetric)
            if 0.0 <= left < total:
                return state, entry
        left = u * total
    return state, end - 1


@njit(inline="always", nogil=True, cache=True, error_model="numpy")
def _second_order(
    state, indptr, indices, weights, accept, alias, totals, here, last, back, out, symmetric
):  # fmt: skip
    """Return the state, and an entry of `here`'s row, drawn by weight and by where the walk came from."""
    begin, end = indptr[here], indptr[here + 1]
    if end - begin == 1:
        return state, begin
    high, low = max(1.0, out), min(1.0, out)
    # The way back may weigh far more than all else: what exceeds the others' height is a region of its own.
    excess, return_entry = 0.0, np.int64(-1)
    if back > high:
        return_entry = _find(indices, begin, end, last)
        if return_entry >= 0:
            excess = (back - high) * (np.float64(weights[return_entry]) if len(weights) else 1.0)
    area = high * (totals[here] if len(totals) else np.float64(end - begin))
    for _ in range(_TRIES + end - begin):
        if excess > 0.0:
            state, u = _uniform(state)
            if u * (area + excess) < excess:
                return state, return_entry
        state, entry = _propose(state, begin, end, accept, alias)
        state, u = _uniform(state)
        height = u * high
        node = indices[entry]
        if height < low and node != last:
            return state, entry
        if height < _bias(indptr, indices, last, node, back, out, symmetric):
            return state, entry
    # No try depends on those before it, so to end them is fair; it bounds what an extreme p or q can cost.
    return _scan(state, indptr, indices, weights, here, last, back, out, symmetric)


@njit(nogil=True, cache=True, error_model="numpy")
def walk(indptr, indices, weights, accept, alias, totals, starts, first, seed, p, q, symmetric, ids, lengths):
    """Take a walk from each of `starts`, until it is as long as it shall be or until no edge leads on.

    Parameters
    ----------
    indptr, indices : int64 (n + 1), int32 (m)
        The rows of nodes that edges lead to, each in order and without repetition.
    weights, accept, alias, totals
        See `alias_rows`; all of length 0 where the edges weigh the same.
    starts : int32 (walks)
    first : uint64
        The number of the first of these walks among all: each walk has random numbers of its own.
    seed : uint64
    p, q : float
        Return and in-out parameter; both 1: DeepWalk.
    symmetric : bool
        Whether every edge leads both ways.
    ids : int32 (walks × length)
        Receives the nodes.
    lengths : int64 (walks)
        Receives how many there are in each walk.
    """
    back, out = 1.0 / p, 1.0 / q
    plain = back == 1.0 and out == 1.0
    for row in range(len(starts)):
        state = _mixed(_mixed(seed + _STEP) + (first + np.uint64(row)) * _STEP)
        here = np.int64(starts[row])
        last = np.int64(-1)
        ids[row, 0] = here
        n = 1
        while n < ids.shape[1] and indptr[here] < indptr[here + 1]:
            if plain or last < 0:
                state, entry = _propose(state, indptr[here], indptr[here + 1], accept, alias)
            else:
                state, entry = _second_order(
                    state, indptr, indices, weights, accept, alias, totals, here, last, back, out, symmetric
                )
            last, here = here, np.int64(indices[entry])
            ids[row, n] = here
            n += 1
        lengths[row] = n
