"""Skip-gram and CBOW with negative sampling, a block of centres at a time.

All pairs of a block (see `kernels_blocks`) share K draws from the noise distribution, each with weight negative / K:
the gradient's expectation is that of `negative` draws for each pair, and the work becomes products of small dense
matrices (Ji et al. 2016, arXiv 1604.04661, share within a window; Rengasamy et al. 2017, pSGNScc, join windows). A
negative that equals a centre is left out for that centre's pairs, as in word2vec. All gradients of a block are those at
the vectors it began with; steps on one vector add up. Workers may share W and C without locks (Hogwild!, arXiv
1106.5730).
"""

import numpy as np

from embedkit.compiled import kernel
from embedkit.trainers.machinery.kernels_tiles import (
    COLUMNS,
    LANES,
    add_sums_2,
    add_sums_6,
    add_sums_transposed,
    copy_row,
    dot_tile,
    gradient_tile,
    mix_rows,
)
from embedkit.trainers.sampling.kernels_blocks import (
    CENTRE,
    FILLED,
    POSITION,
    draw_negatives,
    input_rows,
    next_block,
    unpiled,
)
from embedkit.trainers.sampling.kernels_hot import EXCHANGE_EVERY, exchange, to_copies
from embedkit.trainers.sampling.kernels_rounds import INPUTS, OUTPUTS, empty_cells, gather_changed, is_full

f32 = np.float32


@kernel
def clear(matrix, rows, columns):
    """Set a matrix's upper left to zero; a slice in a hot loop would count references, a locked instruction each."""
    for x in range(rows):
        for y in range(columns):
            matrix[x, y] = f32(0)


@kernel
def gather(buffer, n, table, rows):
    """Copy n rows of a table next to each other."""
    for x in range(n):
        copy_row(buffer, x, table, rows[x])


@kernel
def total(losses):
    """Add up in float64, in order."""
    result = 0.0
    for lane in range(losses.shape[0]):
        result += losses[lane]
    return result


@kernel
def aligned(rows, columns):
    """Return a float32 matrix of zeros that begins on a cache line: a vector across two lines costs two reads."""
    raw = np.zeros(rows * columns + 16, f32)
    skip = (64 - raw.ctypes.data % 64) % 64 // 4
    return raw[skip : skip + rows * columns].reshape((rows, columns))


@kernel
def weigh_pairs(weights, spans, count, n, outputs, share):
    """Set each input row's weight with each output: 1 for a pair, `share` a pair for a negative; returns the pairs."""
    T, n_outputs = spans.shape[1], weights.shape[1]
    clear(weights, n, n_outputs)
    pairs = 0
    for t in range(count):
        for x in range(spans[0, t], spans[1, t]):
            weights[x, t] = f32(1)
            weights[x, T] += share
        pairs += spans[1, t] - spans[0, t]
        own = spans[2, t]
        if own >= 0:
            weights[own, t] = f32(0)
            weights[own, T] -= share
            pairs -= 1
    for x in range(n):
        usual = weights[x, T]
        for y in range(T + 1, n_outputs):
            weights[x, y] = usual
    for t in range(count):
        for y in range(T, n_outputs):
            if outputs[y] == outputs[t]:
                for x in range(spans[0, t], spans[1, t]):
                    weights[x, y] -= share * weights[x, t]
    return pairs


@kernel
def touched_rows(spans, start, stop, n):
    """Return the even range of input rows that centres start..stop have as contexts."""
    low, high = n, 0
    for t in range(start, stop):
        if spans[0, t] < spans[1, t]:
            low, high = min(low, spans[0, t]), max(high, spans[1, t])
    return low // 2 * 2, (high + 1) // 2 * 2


@kernel
def touching_centres(spans, count, start, stop):
    """Return the range of centres that have any of the input rows start..stop as a context."""
    low, high = count, 0
    for t in range(count):
        if spans[0, t] < stop and spans[1, t] > start:
            low, high = min(low, t), t + 1
    return low, high


@kernel
def tile_height(x, n):
    """Return how many rows the next tile of `add_sums` covers."""
    return 6 if x + 6 <= n else 2


@kernel
def add_sums(height, G, x, B, start, stop, again, end, out, rows):
    """Add to `height` rows: out[rows[x + r]] += sum of G[x + r, k] B[k] over k in start..stop and in again..end."""
    if height == 6:
        add_sums_6(G, x, B, start, stop, again, end, out, rows)
    else:
        add_sums_2(G, x, B, start, stop, again, end, out, rows)


@kernel
def skipgram_block(A, B, F, weights, signs, losses, spans, count, n, alpha, W, C, inputs, outputs):
    """Learn from one block; all matrix products skip the tiles where no centre has a context.

    F holds dot products of the input rows A with the outputs B, the true ones first, then steps in their place.
    """
    T, n_outputs = spans.shape[1], outputs.shape[0]
    even = (n + 1) // 2 * 2
    clear(F, even, T)
    for y in range(0, T, COLUMNS):
        low, high = touched_rows(spans, y, min(y + COLUMNS, count), n)
        for x in range(low, high, 2):
            dot_tile(A, x, B, y, F)
    for x in range(0, even, 2):
        for y in range(T, n_outputs, COLUMNS):
            dot_tile(A, x, B, y, F)
    gradient_tile(F, weights, signs, even, alpha, losses)
    x = 0
    while x < even:
        height = tile_height(x, even)
        start, stop = touching_centres(spans, count, x, x + height)
        add_sums(height, F, x, B, start, stop, T, n_outputs, W, inputs)
        x += height
    for y in range(0, T, COLUMNS):
        low, high = touched_rows(spans, y, min(y + COLUMNS, count), n)
        add_sums_transposed(F, y, A, low, high, 0, 0, C, outputs)
    for y in range(T, n_outputs, COLUMNS):
        add_sums_transposed(F, y, A, 0, even, 0, 0, C, outputs)


@kernel
def skipgram(
    ids, offsets, cursor, pending, state, W, C, keep, accept, alias, first, last, max_tokens,
    window, shrink, max_contexts, negative, T, K, centres, alpha, alpha_end, bases, copies, held, counts,
):  # fmt: skip
    """Go on with skip-gram with negative sampling (Mikolov et al. 2013, arXiv 1310.4546, equation 4).

    Each context's input vector w learns to score its centre's output vector c above noise: the loss of a pair is
    softplus(-w.c) + negative / K * sum over the block's K negatives of softplus(w.c').

    Parameters
    ----------
    ids : int32 (n_positions)
        The corpus, sentence after sentence.
    offsets : int64 (n_sentences + 1)
        Where its sentences begin.
    cursor, pending, state : int64 (4), int64 (3, capacity), uint64 (2)
        What goes on from call to call; see `kernels_blocks`. Begin with the cursor (first, its sentence, 0, 0). The
        capacity is over T + 2 * window, or T + 2 * max_contexts for whole sentences; 4096 more is enough.
    W, C : float32 (n_tokens and rows for copies, width)
        Input and output vectors, which change in place; width is a multiple of 16, columns after a vector's end are 0.
    keep : float32 (n_tokens)
        Probability of keeping an occurrence; under 1 it is thinned out before windows are seen.
    accept, alias : float32 (n_tokens), int32 (n_tokens)
        The noise distribution as an alias table.
    first, last : int
        The positions that are this worker's part; no window goes across its ends.
    max_tokens : int
        Return when the pending tokens are used up after so many positions; a little more is read.
    window, shrink, max_contexts : int, bool, int
        Tokens on each side, and whether to draw each window's reach from 1 to that. Window 0 is the whole sentence:
        all its other tokens, or, of one of more than max_contexts + 1 tokens, `max_contexts` drawn for each block.
    negative : float
        Noise tokens for each pair.
    T, K : int
        The most centres, and the negatives, of a block: T a multiple of 8, K such that T + K is a multiple of 16.
    centres : int
        How many centres a block really gets, at most T: few where so few tokens exist that steps would pile up.
    alpha, alpha_end : float
        The learning rate at the part's first position, and past its last; linear between.
    bases, copies : float32 (2, n_hot, width), int
        For workers side by side: what the copies of the hot tokens' rows in W and C were, and the first copy's row; see
        `kernels_hot`. With n_hot 0 there are no copies.
    held, counts : int32 (2, room), int64 (2)
        For streams in rounds: what this one changes, which then lies from row `copies` on; see `kernels_rounds`. A call
        is a round. With room 0 all is changed in its place.

    Returns
    -------
    loss : float
        Summed over pairs.
    pairs : int
        Of a centre and a context.
    finished : bool
        Whether the part is done.
    """
    n_rows = input_rows(T, window, max_contexts)
    A, B = aligned(n_rows, W.shape[1]), aligned(T + K, W.shape[1])
    F, weights = aligned(n_rows, T + K), aligned(n_rows, T + K)
    inputs, outputs, spans = np.zeros(n_rows, np.int64), np.zeros(T + K, np.int64), np.zeros((3, T), np.int64)
    signs, losses = np.ones(T + K, f32), np.zeros(LANES, f32)
    signs[:T] = f32(-1)
    stop = min(last, cursor[POSITION] + max_tokens)
    loss, pairs, n_hot, n_blocks, apart = 0.0, 0, bases.shape[1], 0, held.shape[1] > 0
    counts[:], cells = 0, empty_cells(held)
    while not (apart and is_full(held, counts, n_rows, T + K)):
        if n_hot > 0 and n_blocks % EXCHANGE_EVERY == 0:
            exchange(W, bases[0], copies)
            exchange(C, bases[1], copies)
        n_blocks += 1
        count, n = next_block(
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
        )
        if count == 0:
            break
        draw_negatives(outputs, T, accept, alias, state)
        if n_hot > 0:
            to_copies(inputs, n_hot, copies)
            to_copies(outputs, n_hot, copies)
        if apart:
            gather_changed(A, (n + 1) // 2 * 2, W, inputs, INPUTS, cells, held, counts, copies)
            gather_changed(B, T + K, C, outputs, OUTPUTS, cells, held, counts, copies)
        else:
            gather(A, (n + 1) // 2 * 2, W, inputs)
            gather(B, T + K, C, outputs)
        pairs += weigh_pairs(weights, spans, count, (n + 1) // 2 * 2, outputs, f32(negative / K))
        rate = f32(alpha + (alpha_end - alpha) * ((cursor[POSITION] - first) / (last - first)))
        if window == 0 or centres < T:
            rate *= unpiled(inputs, n, spans, count, centres)
        skipgram_block(A, B, F, weights, signs, losses, spans, count, n, rate, W, C, inputs, outputs)
        loss += total(losses)
        cursor[CENTRE] += count
    exchange(W, bases[0], copies)
    exchange(C, bases[1], copies)
    return loss, pairs, cursor[POSITION] >= last and cursor[CENTRE] >= cursor[FILLED]


@kernel
def weigh_means(weights, shares, spans, count, outputs, share):
    """Set the weights of centres with outputs and what part of its mean each context is; returns centres with any."""
    T = spans.shape[1]
    clear(weights, T, weights.shape[1])
    pairs = 0
    for t in range(T):
        shares[t] = f32(0)
    for t in range(count):
        size = spans[1, t] - spans[0, t] - (1 if spans[2, t] >= 0 else 0)
        if size > 0:
            pairs += 1
            shares[t] = f32(1 / size)
            weights[t, t] = f32(1)
            for y in range(T, outputs.shape[0]):
                weights[t, y] = share if outputs[y] != outputs[t] else f32(0)
    return pairs


@kernel
def take_means(H, A, running, shares, spans, count, n):
    """Set H[t] to the mean of centre t's contexts: a window's sum is the difference of two running sums over A."""
    for x in range(n):
        mix_rows(running, x + 1, running, x, f32(1), A, x, f32(1))
    for t in range(count):
        mix_rows(H, t, running, spans[1, t], shares[t], running, spans[0, t], -shares[t])
        if spans[2, t] >= 0:
            mix_rows(H, t, H, t, f32(1), A, spans[2, t], -shares[t])


@kernel
def spread_errors(errors, running, factors, spans, count, n, W, inputs):
    """Add to each input row of W the steps of the means it is in: they set in where a window begins."""
    clear(running, n + 1, running.shape[1])
    for t in range(count):
        mix_rows(running, spans[0, t], running, spans[0, t], f32(1), errors, t, factors[t])
        mix_rows(running, spans[1, t], running, spans[1, t], f32(1), errors, t, -factors[t])
        if spans[2, t] >= 0:
            own = inputs[spans[2, t]]
            mix_rows(W, own, W, own, f32(1), errors, t, -factors[t])
    for x in range(n):
        if x > 0:
            mix_rows(running, x, running, x, f32(1), running, x - 1, f32(1))
        mix_rows(W, inputs[x], W, inputs[x], f32(1), running, x, f32(1))


@kernel
def cbow_block(
    A,
    B,
    H,
    errors,
    running,
    F,
    weights,
    shares,
    signs,
    losses,
    spans,
    count,
    n,
    alpha,
    exact,
    W,
    C,
    inputs,
    outputs,
    order,
):
    """Learn from one block; H holds the contexts' means, `errors` their steps, `running` sums over rows."""
    T, n_outputs = spans.shape[1], outputs.shape[0]
    clear(running, 1, running.shape[1])
    clear(H, T, H.shape[1])
    clear(errors, T, H.shape[1])
    clear(F, T, T)
    take_means(H, A, running, shares, spans, count, n)
    for t in range(0, T, 2):
        dot_tile(H, t, B, t // COLUMNS * COLUMNS, F)
        for y in range(T, n_outputs, COLUMNS):
            dot_tile(H, t, B, y, F)
    gradient_tile(F, weights, signs, T, alpha, losses)
    t = 0
    while t < T:
        height = tile_height(t, T)
        add_sums(height, F, t, B, t, t + height, T, n_outputs, errors, order)
        t += height
    for y in range(0, n_outputs, COLUMNS):
        start, stop = (y, y + COLUMNS) if y < T else (0, T)
        add_sums_transposed(F, y, H, start, stop, 0, 0, C, outputs)
    if not exact:
        for t in range(count):
            shares[t] = f32(1 if shares[t] > 0 else 0)
    spread_errors(errors, running, shares, spans, count, n, W, inputs)


@kernel
def cbow(
    ids, offsets, cursor, pending, state, W, C, keep, accept, alias, first, last, max_tokens,
    window, shrink, max_contexts, negative, T, K, centres, alpha, alpha_end, bases, copies, held, counts, exact,
):  # fmt: skip
    """Go on with continuous bag of words with negative sampling (Mikolov et al. 2013, arXiv 1301.3781, 1310.4546).

    The mean h of a centre's context vectors learns to score the centre's output vector c above noise: its loss is
    softplus(-h.c) + negative / K * sum over the block's K negatives of softplus(h.c'). A centre alone has no loss.

    Parameters are those of `skipgram`, and
    exact : bool
        Whether each context's step is the loss's gradient, the mean's divided by the number of contexts (corrected
        CBOW, Irsoy, Benton and Stratos 2020, arXiv 2012.15332), or the mean's step undivided, as in word2vec, gensim.

    Returns
    -------
    loss, pairs, finished : float, int, bool
        Pairs are of a centre and its mean.
    """
    n_rows, width = input_rows(T, window, max_contexts), W.shape[1]
    A, B = aligned(n_rows, width), aligned(T + K, width)
    H, errors, running = aligned(T, width), aligned(T, width), aligned(n_rows + 1, width)
    F, weights = aligned(T, T + K), aligned(T, T + K)
    inputs, outputs, spans = np.zeros(n_rows, np.int64), np.zeros(T + K, np.int64), np.zeros((3, T), np.int64)
    signs, losses, shares, order = np.ones(T + K, f32), np.zeros(LANES, f32), np.zeros(T, f32), np.arange(T)
    signs[:T] = f32(-1)
    stop = min(last, cursor[POSITION] + max_tokens)
    loss, pairs, n_hot, n_blocks, apart = 0.0, 0, bases.shape[1], 0, held.shape[1] > 0
    counts[:], cells = 0, empty_cells(held)
    while not (apart and is_full(held, counts, n_rows, T + K)):
        if n_hot > 0 and n_blocks % EXCHANGE_EVERY == 0:
            exchange(W, bases[0], copies)
            exchange(C, bases[1], copies)
        n_blocks += 1
        count, n = next_block(
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
        )
        if count == 0:
            break
        draw_negatives(outputs, T, accept, alias, state)
        if n_hot > 0:
            to_copies(inputs, n_hot, copies)
            to_copies(outputs, n_hot, copies)
        if apart:
            gather_changed(A, (n + 1) // 2 * 2, W, inputs, INPUTS, cells, held, counts, copies)
            gather_changed(B, T + K, C, outputs, OUTPUTS, cells, held, counts, copies)
        else:
            gather(A, (n + 1) // 2 * 2, W, inputs)
            gather(B, T + K, C, outputs)
        pairs += weigh_means(weights, shares, spans, count, outputs, f32(negative / K))
        rate = f32(alpha + (alpha_end - alpha) * ((cursor[POSITION] - first) / (last - first)))
        cbow_block(
            A, B, H, errors, running, F, weights, shares, signs, losses, spans, count, n, rate, exact,
            W, C, inputs, outputs, order,
        )  # fmt: skip
        loss += total(losses)
        cursor[CENTRE] += count
    exchange(W, bases[0], copies)
    exchange(C, bases[1], copies)
    return loss, pairs, cursor[POSITION] >= last and cursor[CENTRE] >= cursor[FILLED]
