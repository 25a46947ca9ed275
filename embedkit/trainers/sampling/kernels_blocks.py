"""From a corpus of ids to blocks: thinning out, windows, contexts and noise, for kernels that learn from them.

A block is `T` consecutive kept tokens, the *centres*, with all their contexts. Sentences may have any length. What goes
on from call to call is in three arrays, so calls that read a few tokens each give the same bits as one that reads all:

cursor : int64 (4)
    The next position to read in `ids`; its sentence; how many tokens are pending; which of them is the next centre.
pending : int64 (3, capacity)
    Token, position and sentence of kept tokens: those still to be centres, and those just before them.
state : uint64 (2)
    Two generators (splitmix64, Steele, Lea and Flood 2014): one for thinning out, windows and contexts, one for noise.

Three arrays hold a block:

inputs : int64 (rows)
    The tokens that are contexts in it, in order; they may repeat.
outputs : int64 (T + K)
    Its centres, then its negatives.
spans : int64 (3, T)
    Of each centre: the first of the inputs that is a context, the one after the last, and the one that is the centre
    itself and no context (-1 where it is not among them).

Numba does not see when a file changes that another file's kernels call: after an edit, clear the callers' caches.
"""

import numpy as np

from embedkit.compiled import kernel
from embedkit.trainers.machinery.kernels_tiles import COLUMNS, LANES

POSITION, SENTENCE, FILLED, CENTRE = range(4)
TOKEN, WHERE, WHOSE = range(3)
READING, NOISE = range(2)
READ_AT_ONCE = 1 << 20

u64, f32 = np.uint64, np.float32


@kernel(inline="always")
def draw(state, generator):
    """Return 64 random bits: splitmix64 (Steele, Lea and Flood 2014)."""
    state[generator] += u64(0x9E3779B97F4A7C15)
    z = state[generator]
    z = (z ^ (z >> u64(30))) * u64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> u64(27))) * u64(0x94D049BB133111EB)
    return z ^ (z >> u64(31))


@kernel(inline="always")
def below(bits, n):
    """Return an integer of [0, n), n under 2**32, by the upper 32 random bits."""
    return np.int64(((bits >> u64(32)) * u64(n)) >> u64(32))


@kernel(inline="always")
def fraction(bits):
    """Return a float32 of [0, 1) by the lower 24 random bits."""
    return f32(bits & u64(0xFFFFFF)) * f32(2.0**-24)


@kernel
def read(ids, offsets, cursor, pending, keep, last, state, behind):
    """Drop pending tokens that lie over `behind` before the next centre, and fill up with what `keep` lets through."""
    shift = max(0, cursor[CENTRE] - behind)
    filled = cursor[FILLED] - shift
    for row in range(3):
        for i in range(filled):
            pending[row, i] = pending[row, i + shift]
    position, sentence = cursor[POSITION], cursor[SENTENCE]
    stop = min(last, position + READ_AT_ONCE)
    while position < stop and filled < pending.shape[1]:
        while offsets[sentence + 1] <= position:
            sentence += 1
        token = ids[position]
        if keep[token] >= f32(1) or fraction(draw(state, READING)) < keep[token]:
            pending[TOKEN, filled] = token
            pending[WHERE, filled] = position
            pending[WHOSE, filled] = sentence
            filled += 1
        position += 1
    cursor[POSITION], cursor[SENTENCE], cursor[FILLED] = position, sentence, filled
    cursor[CENTRE] -= shift


@kernel
def draw_negatives(outputs, T, accept, alias, state):
    """Fill outputs[T:] with draws from an alias table (Walker 1977)."""
    for y in range(T, outputs.shape[0]):
        bits = draw(state, NOISE)
        cell = below(bits, accept.shape[0])
        other = np.int64(alias[cell])  # read in any case: a choice between registers is faster than a branch
        outputs[y] = cell if fraction(bits) < accept[cell] else other


@kernel
def frame_windows(pending, cursor, state, count, reach, shrink, inputs, spans):
    """Find each centre's window among the pending tokens.

    Returns
    -------
    n : int
        Input rows of the block, in `inputs`. spans[:, t] are the first row of centre t's window, the one after it,
        and its own row.
    """
    centre, filled = cursor[CENTRE], cursor[FILLED]
    first, top = centre, centre
    for t in range(count):
        own = centre + t
        near = reach - below(draw(state, READING), reach) if shrink else reach
        whose = pending[WHOSE, own]
        low = own
        while low > max(0, own - near) and pending[WHOSE, low - 1] == whose:
            low -= 1
        high = own + 1
        while high < min(filled, own + near + 1) and pending[WHOSE, high] == whose:
            high += 1
        spans[0, t], spans[1, t], spans[2, t] = low, high, own
        first, top = min(first, low), max(top, high)
    for t in range(count):
        for row in range(3):
            spans[row, t] -= first
    for x in range(top - first):
        inputs[x] = pending[TOKEN, first + x]
    return top - first


@kernel
def frame_sample(ids, start, stop, pending, cursor, keep, state, count, max_contexts, inputs, spans):
    """Draw contexts for centres of one long sentence: a token from each of `max_contexts` equal stretches of it.

    Each token of the sentence is as likely as any other, and passes if `keep` lets it. Returns as `frame_windows` does;
    a centre that was not drawn has the own row -1.
    """
    for t in range(count):
        spans[2, t] = -1
    n = 0
    before = -1
    for j in range(max_contexts):
        bits = draw(state, READING)
        stretch = (j + ((bits >> u64(32)) + 0.5) * 2.0**-32) / max_contexts
        position = min(start + np.int64(stretch * (stop - start)), stop - 1)
        token = ids[position]
        if position != before and fraction(bits) < keep[token]:
            for t in range(count):
                if pending[WHERE, cursor[CENTRE] + t] == position:
                    spans[2, t] = n
            inputs[n] = token
            n += 1
        before = position
    for t in range(count):
        spans[0, t], spans[1, t] = 0, n
    return n


@kernel
def unpiled(inputs, n, spans, count, most):
    """Return what part of its steps a block takes, so that those on no token are more than `most` whole ones.

    All, where no sentence repeats a token and `most` is the number of centres. A token that a session repeats is a
    context many times over, and its steps, all from where the block began, would add up to one that overshoots.
    """
    original, steps = np.empty(n, np.int64), np.zeros(n, np.int64)
    for x in range(n):
        original[x] = x
        for y in range(x):
            if inputs[y] == inputs[x]:
                original[x] = y
                break
    largest = 1
    for t in range(count):
        for x in range(spans[0, t], spans[1, t]):
            if x != spans[2, t]:
                steps[original[x]] += 1
                largest = max(largest, steps[original[x]])
    return f32(min(1.0, most / largest))


@kernel
def frame(ids, offsets, cursor, pending, keep, state, window, shrink, max_contexts, centres, inputs, outputs, spans):
    """Choose the next block's centres and their contexts; returns how many centres, and how many input rows.

    Rows and outputs beyond them repeat a real one, so that whatever is added to them has somewhere to go.
    """
    centre = cursor[CENTRE]
    count = min(centres, cursor[FILLED] - centre)
    whose = pending[WHOSE, centre]
    long = window == 0 and offsets[whose + 1] - offsets[whose] > max_contexts + 1
    if window == 0:
        for t in range(1, count):
            other = pending[WHOSE, centre + t]
            if other != whose and (long or offsets[other + 1] - offsets[other] > max_contexts + 1):
                count = t
                break
    if long:
        n = frame_sample(
            ids, offsets[whose], offsets[whose + 1], pending, cursor, keep, state, count, max_contexts, inputs, spans
        )
    else:
        reach = window if window > 0 else max_contexts
        n = frame_windows(pending, cursor, state, count, reach, shrink and window > 0, inputs, spans)
    for x in range(n, min(n // COLUMNS * COLUMNS + COLUMNS, inputs.shape[0])):
        inputs[x] = inputs[n - 1] if n > 0 else pending[TOKEN, centre]
    for t in range(spans.shape[1]):
        outputs[t] = pending[TOKEN, centre + min(t, count - 1)]
    for t in range(count, spans.shape[1]):
        spans[0, t], spans[1, t], spans[2, t] = 0, 0, 0
    return count, n


@kernel
def next_block(
    ids,
    offsets,
    cursor,
    pending,
    state,
    keep,
    last,
    stop,
    window,
    shrink,
    max_contexts,
    centres,
    inputs,
    outputs,
    spans,
):
    """Read on where few tokens are pending, and frame a block; its count is 0 where the part or this call ends."""
    ahead = spans.shape[1] + (window if window > 0 else max_contexts)
    while cursor[FILLED] - cursor[CENTRE] < ahead and cursor[POSITION] < last:
        if cursor[POSITION] >= stop:
            return 0, 0
        read(ids, offsets, cursor, pending, keep, last, state, ahead)
    if cursor[CENTRE] >= cursor[FILLED]:
        return 0, 0
    return frame(
        ids, offsets, cursor, pending, keep, state, window, shrink, max_contexts, centres, inputs, outputs, spans
    )


@kernel
def input_rows(T, window, max_contexts):
    """Return the most input rows that a block of T centres can have, rounded up to whole tiles."""
    reach = window if window > 0 else max_contexts
    return (T + 2 * reach + LANES - 1) // LANES * LANES
