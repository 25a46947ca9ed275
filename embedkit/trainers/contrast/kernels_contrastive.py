"""The numba kernels of `contrastive`: what is drawn, and all but the matrix products of a step.

Rows of histories are compressed: row r's tokens are `ids[indptr[r]:indptr[r + 1]]`, oldest first. `weights` has one
number an entry, or is empty where each counts 1.
"""

from __future__ import annotations

import numpy as np

from embedkit.compiled import kernel

_TRIES = 20
_LOG2_E = np.float32(np.log2(np.e))
_LEAST_POWER = np.float32(-126)
_SERIES = np.polynomial.chebyshev.Chebyshev.interpolate(np.exp2, 5, [-0.5, 0.5]).convert(kind=np.polynomial.Polynomial)
_C0, _C1, _C2, _C3, _C4, _C5 = (np.float32(c) for c in _SERIES.coef)
_TINY = np.float32(1e-30)


@kernel
def permuted(place, n, key):
    """Return where a permutation of 0 to n - 1, drawn by `key`, sends `place`; it needs no memory.

    Four rounds of a Feistel network on the least even number of bits that holds n (Luby and Rackoff 1988), gone
    through again while the result is not below n (Black and Rogaway 2002, cycle walking).
    """
    half = 1
    while (1 << (2 * half)) < n:
        half += 1
    mask = np.uint64((1 << half) - 1)
    bits = np.uint64(half)
    x = np.uint64(place)
    while True:
        left, right = x >> bits, x & mask
        for turn in range(4):
            mixed = (right + np.uint64(key) + np.uint64(turn + 1) * np.uint64(0x9E3779B97F4A7C15)) * np.uint64(
                0xBF58476D1CE4E5B9
            )
            mixed ^= mixed >> np.uint64(29)
            mixed *= np.uint64(0x94D049BB133111EB)
            left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
        x = (left << bits) | right
        if x < np.uint64(n):
            return np.int64(x)


@kernel
def draw_next(indptr, ids, weights, recency, repeats, place, key, most_entries, starts, tokens, counts, targets):
    """Draw examples of what comes next: a token, and those before it in its row.

    Parameters
    ----------
    repeats
        Whether the token may be one of those before it.
    place, key
        How many of the permuted entries were gone through, and the permutation.
    most_entries
        Of how many tokens a history consists at most; the latest are taken.
    starts, tokens, counts
        int64 (n + 1), int32, float32 (n · most_entries): written, the histories drawn and their weights.
    targets
        int32 (n): written, the token behind each.

    Returns
    -------
    tuple
        How many were drawn, and the new `place`.
    """
    drawn, filled = 0, 0
    starts[0] = 0
    while drawn < len(targets) and place < len(ids):
        at = permuted(place, len(ids), key)
        place += 1
        row = np.searchsorted(indptr, at, side="right") - 1
        first = max(indptr[row], at - most_entries)
        if first == at:
            continue
        counted, new, end = np.float32(1), True, filled
        for entry in range(at - 1, first - 1, -1):
            new &= ids[entry] != ids[at]
            tokens[end] = ids[entry]
            counts[end] = counted if len(weights) == 0 else counted * weights[entry]
            end += 1
            counted *= recency
        if new or repeats:
            targets[drawn] = ids[at]
            drawn += 1
            starts[drawn] = filled = end
    return drawn, place


@kernel
def draw_held_out(
    indptr, ids, weights, recency, share, place, key, rng, marks, most_entries, starts, tokens, counts, ends, targets
):  # fmt: skip
    """Draw examples of what is held out: some of a row's different tokens, and the others.

    Parameters
    ----------
    place, key
        How many of the permuted rows were gone through, and the permutation.
    share
        The probability that a token is among those that are held out.
    rng
        A `numpy.random.Generator`.
    marks
        int64 (n_tokens + 1): scratch; the last counts draws, from call to call.
    most_entries
        How many tokens a history has at most, and how many targets: longer rows are thinned out at random.
    starts, tokens, counts
        int64 (n + 1), int32, float32 (n · most_entries): written, the histories drawn and their weights.
    ends, targets
        int64 (n + 1), int32 (n · most_entries): written, what is held out of each.

    Returns
    -------
    tuple
        How many were drawn, and the new `place`.
    """
    drawn, filled, asked = 0, 0, 0
    starts[0] = ends[0] = 0
    n = len(indptr) - 1
    while drawn + 1 < len(starts) and place < n:
        row = permuted(place, n, key)
        place += 1
        before = drawn
        first, last = indptr[row], indptr[row + 1]
        kept = most_entries / (last - first) if last > first else 0.0
        for _ in range(_TRIES if last - first > 1 else 0):
            marks[-1] += 2
            shown, held = filled, asked
            counted = np.float32(1)
            for entry in range(last - 1, first - 1, -1):
                token = ids[entry]
                if marks[token] < marks[-1]:
                    if kept < 1 and rng.random() >= kept:
                        continue
                    hidden = rng.random() < share
                    marks[token] = marks[-1] + hidden
                    if hidden and held < asked + most_entries:
                        targets[held] = token
                        held += 1
                if marks[token] == marks[-1] and shown < filled + most_entries:
                    tokens[shown] = token
                    counts[shown] = counted if len(weights) == 0 else counted * weights[entry]
                    shown += 1
                    counted *= recency
            if shown > filled and held > asked:
                filled, asked = shown, held
                drawn += 1
                starts[drawn], ends[drawn] = filled, asked
                break
        if drawn == before and last - first > 1:
            of_row = ids[first:last], weights[first:last]
            shown = hold_out_one(*of_row, recency, rng, filled + most_entries, filled, tokens, counts, targets[asked:])
            if shown > filled:
                filled, asked = shown, asked + 1
                drawn += 1
                starts[drawn], ends[drawn] = filled, asked
    return drawn, place


@kernel
def hold_out_one(row, weights, recency, rng, end, filled, tokens, counts, targets):
    """Hold a token of a row out, drawn, where it has two different ones; return how far `tokens` are filled then.

    The latest of the other tokens are the history, up to `end`.
    """
    if not np.any(row != row[0]):
        return filled
    targets[0] = row[rng.integers(0, len(row))]
    counted = np.float32(1)
    for entry in range(len(row) - 1, -1, -1):
        if row[entry] != targets[0] and filled < end:
            tokens[filled] = row[entry]
            counts[filled] = counted if len(weights) == 0 else counted * weights[entry]
            filled += 1
            counted *= recency
    return filled


@kernel
def draw_noise(accept, alias, rng, drawn):
    """Fill `drawn` (int32) with tokens drawn from an alias table."""
    for i in range(len(drawn)):
        cell = rng.integers(0, len(accept))
        drawn[i] = cell if rng.random() < accept[cell] else alias[cell]


@kernel
def number(tokens, slots, distinct, n):
    """Append to `distinct` (n of them so far) each token that has no slot, and give it one; return the new n."""
    for token in tokens:
        if slots[token] < 0:
            slots[token] = n
            distinct[n] = token
            n += 1
    return n


@kernel
def sums(starts, tokens, counts, table, out):
    """Write to `out` (n × width) the sum over each history of weight · vector."""
    width = table.shape[1]
    for row in range(len(starts) - 1):
        for k in range(width):
            out[row, k] = 0
        for entry in range(starts[row], starts[row + 1]):
            token, count = tokens[entry], counts[entry]
            for k in range(width):
                out[row, k] += count * table[token, k]


@kernel
def normalize(rows, lengths):
    """Make rows unit vectors, and write to `lengths` what they were divided by."""
    for row in range(rows.shape[0]):
        square = np.float32(0)
        for k in range(rows.shape[1]):
            square += rows[row, k] * rows[row, k]
        lengths[row] = np.sqrt(square) + _TINY
        inverse = np.float32(1) / lengths[row]
        for k in range(rows.shape[1]):
            rows[row, k] *= inverse


@kernel
def through_lengths(gradients, units, lengths):
    """Turn gradients by unit vectors u = x / |x| into those by x, in place: (g - u (u·g)) / |x|."""
    for row in range(units.shape[0]):
        along = np.float32(0)
        for k in range(units.shape[1]):
            along += gradients[row, k] * units[row, k]
        inverse = np.float32(1) / lengths[row]
        for k in range(units.shape[1]):
            gradients[row, k] = (gradients[row, k] - along * units[row, k]) * inverse


@kernel
def softmax(scores, offsets, shifts, inverse_temperature, ends, targets, weights):
    """Turn scores into the loss's gradient by them, and return the loss.

    With logits l_j = score_j / temperature + offset_j, each target t of a row adds w (log Σ_j exp l_j - l_t).

    Parameters
    ----------
    scores
        float32 (n × m): cosines; overwritten.
    offsets
        float32 (m).
    shifts
        float32 (n): no logit of the row is above it, and the greatest not far below.
    ends, targets
        int64 (n + 1), int32: the columns of each row's targets.
    weights
        float32 (n): w, for each target of the row.
    """
    loss = 0.0
    m = scores.shape[1]
    for row in range(scores.shape[0]):
        first, last, shift = ends[row], ends[row + 1], shifts[row]
        together = weights[row] * np.float32(last - first)
        for place in range(first, last):
            column = targets[place]
            loss -= weights[row] * (scores[row, column] * inverse_temperature + offsets[column])
        total = np.float32(0)
        for j in range(m):
            power = (scores[row, j] * inverse_temperature + offsets[j] - shift) * _LOG2_E
            power = power if power > _LEAST_POWER else _LEAST_POWER
            whole = np.floor(power + np.float32(0.5))
            part = power - whole
            grown = _C0 + part * (_C1 + part * (_C2 + part * (_C3 + part * (_C4 + part * _C5))))
            # 2 to a whole power is a float32 with nothing but an exponent.
            value = grown * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
            scores[row, j] = value
            total += value
        loss += together * (np.log(total) + shift)
        scale = together * inverse_temperature / total
        for j in range(m):
            scores[row, j] *= scale
        for place in range(first, last):
            scores[row, targets[place]] -= weights[row] * inverse_temperature
    return loss


@kernel
def add_histories(starts, tokens, counts, slots, gradients, out):
    """Add to the rows of `out`, by slot, each history's gradient times the entry's weight."""
    width = out.shape[1]
    for row in range(len(starts) - 1):
        for entry in range(starts[row], starts[row + 1]):
            slot, count = slots[tokens[entry]], counts[entry]
            for k in range(width):
                out[slot, k] += count * gradients[row, k]


@kernel
def adam(table, means, squares, distinct, gradients, rate, beta1, beta2, unbias1, unbias2, epsilon):
    """Take a step of Adam in the rows `distinct`, row r by `gradients[r]`; the moments of others stay as they are.

    Kingma and Ba 2015 (arXiv 1412.6980); `unbias` are 1 / (1 - beta^t).
    """
    for r in range(len(distinct)):
        token = distinct[r]
        for k in range(table.shape[1]):
            g = gradients[r, k]
            mean = beta1 * means[token, k] + (np.float32(1) - beta1) * g
            square = beta2 * squares[token, k] + (np.float32(1) - beta2) * g * g
            means[token, k], squares[token, k] = mean, square
            table[token, k] -= rate * mean * unbias1 / (np.sqrt(square * unbias2) + epsilon)


@kernel
def count_next(indptr, ids, repeats, marks, counts):
    """Count in `counts` (int64) how often each token comes behind others in a row; return the longest row's length.

    Without `repeats` only its first occurrence in a row counts. `marks` is int64 (n_tokens), zeros.
    """
    longest = 0
    for row in range(len(indptr) - 1):
        longest = max(longest, indptr[row + 1] - indptr[row])
        for entry in range(indptr[row], indptr[row + 1]):
            if entry > indptr[row] and (repeats or marks[ids[entry]] <= row):
                counts[ids[entry]] += 1
            marks[ids[entry]] = row + 1
    return longest


@kernel
def count_holders(indptr, ids, marks, holders):
    """Count in `holders` (int64) in how many rows each token is; `marks` is int64 (n_tokens), zeros.

    Returns the length of the longest row, and the most different tokens of one.
    """
    longest, most = 0, 0
    for row in range(len(indptr) - 1):
        longest = max(longest, indptr[row + 1] - indptr[row])
        different = 0
        for entry in range(indptr[row], indptr[row + 1]):
            if marks[ids[entry]] <= row:
                marks[ids[entry]] = row + 1
                holders[ids[entry]] += 1
                different += 1
        most = max(most, different)
    return longest, most
