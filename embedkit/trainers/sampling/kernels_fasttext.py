"""Skip-gram and CBOW with negative sampling over subwords, a block of centres at a time.

A token's input vector is u = the sum of its subwords' rows of Z / the root of how many they are: its own and its
character n-grams'. So a step on u, spread over the rows as the gradient has it, moves u by just that step, however many
rows there are. A block composes each vector once, uses it for all its contexts and noise, and spreads the step once:
most of the time goes into reading and writing these rows.

Blocks, noise and hot rows are as in `kernels_sgns`. Numba does not see when a file changes that another file's kernels
call: after an edit there, clear this file's cache.
"""

import numpy as np

from embedkit.compiled import kernel
from embedkit.trainers.machinery.kernels_tiles import (
    COLUMNS,
    LANES,
    add_sums_transposed,
    dot_tile,
    gradient_tile,
    mix_rows,
    prefetch_row,
)
from embedkit.trainers.sampling.kernels_blocks import CENTRE, FILLED, POSITION, draw_negatives, input_rows, next_block
from embedkit.trainers.sampling.kernels_hot import EXCHANGE_EVERY, exchange, to_copies
from embedkit.trainers.sampling.kernels_sgns import (
    add_sums,
    aligned,
    cbow_block,
    clear,
    gather,
    tile_height,
    total,
    weigh_means,
)

f32 = np.float32
AHEAD = 2  # tokens whose rows are on their way into the cache while one is composed


@kernel
def await_rows(Z, token, indptr, rows):
    """Begin to bring a token's rows into the cache."""
    for i in range(indptr[token], indptr[token + 1]):
        prefetch_row(Z, rows[i])


@kernel
def compose(U, tokens, n, Z, indptr, rows, n_hot, copies):
    """Set the first n rows of U to the vectors of n tokens."""
    for x in range(min(AHEAD, n)):
        await_rows(Z, tokens[x], indptr, rows)
    for x in range(n):
        if x + AHEAD < n:
            await_rows(Z, tokens[x + AHEAD], indptr, rows)
        start, stop = indptr[tokens[x]], indptr[tokens[x] + 1]
        share = f32(1 / np.sqrt(f32(stop - start)))
        for i in range(start, stop):
            row = np.int64(rows[i])
            if row < n_hot:
                row += copies
            mix_rows(U, x, U, x, f32(1) if i > start else f32(0), Z, row, share)


@kernel
def spread(steps, tokens, n, Z, indptr, rows, n_hot, copies):
    """Add the steps of n tokens' vectors to the rows that they are made of."""
    for x in range(n):
        start, stop = indptr[tokens[x]], indptr[tokens[x] + 1]
        share = f32(1 / np.sqrt(f32(stop - start)))
        for i in range(start, stop):
            row = np.int64(rows[i])
            if row < n_hot:
                row += copies
            mix_rows(Z, row, Z, row, f32(1), steps, x, share)


@kernel
def weigh_contexts(weights, spans, count, n, outputs, K, share):
    """Set each centre's weights with the block's noise, then with its contexts; returns the pairs."""
    clear(weights, weights.shape[0], weights.shape[1])
    pairs = 0
    for t in range(count):
        for x in range(spans[0, t], spans[1, t]):
            weights[t, K + x] = f32(1)
        own = spans[2, t]
        if own >= 0:
            weights[t, K + own] = f32(0)
        contexts = spans[1, t] - spans[0, t] - (1 if own >= 0 else 0)
        for y in range(K):
            weights[t, y] = share * f32(contexts)
        pairs += contexts
    for y in range(K):
        for x in range(n):
            if outputs[y] == outputs[K + x]:
                for t in range(count):
                    weights[t, y] -= share * weights[t, K + x]
    return pairs


@kernel
def around(spans, start, stop):
    """Return the range of rows that centres start..stop have as contexts."""
    low, high = 1 << 30, 0
    for t in range(start, stop):
        if spans[0, t] < spans[1, t]:
            low, high = min(low, spans[0, t]), max(high, spans[1, t])
    return min(low, high), high


@kernel
def centres_near(spans, count, start, stop):
    """Return the even range of centres that have any of the rows start..stop as a context."""
    low, high = count, 0
    for t in range(count):
        if spans[0, t] < stop and spans[1, t] > start:
            low, high = min(low, t), t + 1
    return low // 2 * 2, (high + 1) // 2 * 2


@kernel
def centres_block(U, B, F, weights, signs, losses, steps, spans, count, n, K, alpha, C, outputs, order):
    """Learn from one block: the vectors U of its centres score the outputs B, first its noise, then its contexts.

    F holds the dot products, then the steps in their place; `steps` receives those of U.
    """
    T = spans.shape[1]
    even = (count + 1) // 2 * 2
    clear(F, T, F.shape[1])
    clear(steps, T, steps.shape[1])
    for y in range(0, K, COLUMNS):
        for t in range(0, even, 2):
            dot_tile(U, t, B, y, F)
    for x in range(0, n, COLUMNS):
        low, high = centres_near(spans, count, x, x + COLUMNS)
        for t in range(low, high, 2):
            dot_tile(U, t, B, K + x, F)
    gradient_tile(F, weights, signs, even, alpha, losses)
    t = 0
    while t < even:
        height = tile_height(t, even)
        low, high = around(spans, t, min(t + height, count))
        add_sums(height, F, t, B, 0, K, K + low, K + high, steps, order)
        t += height
    for y in range(0, K, COLUMNS):
        add_sums_transposed(F, y, U, 0, even, 0, 0, C, outputs)
    for x in range(0, n, COLUMNS):
        low, high = centres_near(spans, count, x, x + COLUMNS)
        add_sums_transposed(F, K + x, U, low, high, 0, 0, C, outputs)


@kernel
def skipgram(
    ids, offsets, cursor, pending, state, Z, C, indptr, rows, keep, accept, alias, first, last, max_tokens,
    window, shrink, max_contexts, negative, T, K, centres, alpha, alpha_end, input_bases, output_bases, copies,
):  # fmt: skip
    """Go on with skip-gram over subwords (Bojanowski et al. 2017, arXiv 1607.04606).

    Each centre's vector u learns to score its contexts' output vectors c above noise: the loss of a pair is
    softplus(-u.c) + negative / K * sum over the block's K negatives of softplus(u.c'), but for those that are the
    context.

    Parameters
    ----------
    Z, C : float32 (rows, width), float32 (n_tokens, width)
        Vectors of subwords and output vectors, both with rows for copies behind them.
    indptr, rows : int64 (n_tokens + 1), int32
        The subwords of token t are the rows `rows[indptr[t]:indptr[t + 1]]` of Z; every token has one at least.
    T, K : int
        The most centres, and the negatives, of a block: multiples of 8.
    input_bases, output_bases, copies : float32 (n_hot, width), float32 (n_hot, width), int64 (2)
        What the copies of the first rows of Z and C were, and the first copy's row in each; see `kernels_hot`.

    The others, and what is returned, are as of `kernels_sgns.skipgram`.
    """
    width = C.shape[1]
    n_rows = input_rows(T, window, max_contexts)
    n_outputs = (K + n_rows + LANES - 1) // LANES * LANES
    U, B, steps = aligned(T, width), aligned(n_outputs, width), aligned(T, width)
    F, weights = aligned(T, n_outputs), aligned(T, n_outputs)
    contexts, outputs, tokens = np.zeros(n_rows, np.int64), np.zeros(n_outputs, np.int64), np.zeros(T, np.int64)
    spans, noise, order = np.zeros((3, T), np.int64), np.zeros(K, np.int64), np.arange(T)
    signs, losses = np.full(n_outputs, f32(-1)), np.zeros(LANES, f32)
    signs[:K] = f32(1)
    stop = min(last, cursor[POSITION] + max_tokens)
    hot_inputs, hot_outputs = input_bases.shape[0], output_bases.shape[0]
    loss, pairs, n_blocks = 0.0, 0, 0
    while True:
        if n_blocks % EXCHANGE_EVERY == 0:
            exchange(Z, input_bases, copies[0])
            exchange(C, output_bases, copies[1])
        n_blocks += 1
        count, n = next_block(
            ids, offsets, cursor, pending, state, keep, last, stop, window, shrink, max_contexts, centres,
            contexts, tokens, spans,
        )  # fmt: skip
        if count == 0:
            break
        compose(U, tokens, count, Z, indptr, rows, hot_inputs, copies[0])
        draw_negatives(noise, 0, accept, alias, state)
        padded = (n + COLUMNS - 1) // COLUMNS * COLUMNS
        for y in range(K):
            outputs[y] = noise[y]
        for x in range(padded):
            outputs[K + x] = contexts[x]
        to_copies(outputs, hot_outputs, copies[1])
        gather(B, K + padded, C, outputs)
        pairs += weigh_contexts(weights, spans, count, n, outputs, K, f32(negative / K))
        rate = f32(alpha + (alpha_end - alpha) * ((cursor[POSITION] - first) / (last - first)))
        centres_block(U, B, F, weights, signs, losses, steps, spans, count, n, K, rate, C, outputs, order)
        spread(steps, tokens, count, Z, indptr, rows, hot_inputs, copies[0])
        loss += total(losses)
        cursor[CENTRE] += count
    exchange(Z, input_bases, copies[0])
    exchange(C, output_bases, copies[1])
    return loss, pairs, cursor[POSITION] >= last and cursor[CENTRE] >= cursor[FILLED]


@kernel
def cbow(
    ids, offsets, cursor, pending, state, Z, C, indptr, rows, keep, accept, alias, first, last, max_tokens,
    window, shrink, max_contexts, negative, T, K, centres, alpha, alpha_end, input_bases, output_bases, copies,
):  # fmt: skip
    """Go on with continuous bag of words over subwords: as `kernels_sgns.cbow` of the vectors u of the contexts.

    Parameters and what is returned are as of `skipgram` here, and pairs are of a centre and its mean.
    """
    width = C.shape[1]
    n_rows = input_rows(T, window, max_contexts)
    A, B, steps = aligned(n_rows, width), aligned(T + K, width), aligned(n_rows, width)
    H, errors, running = aligned(T, width), aligned(T, width), aligned(n_rows + 1, width)
    F, weights = aligned(T, T + K), aligned(T, T + K)
    contexts, outputs, spans = np.zeros(n_rows, np.int64), np.zeros(T + K, np.int64), np.zeros((3, T), np.int64)
    signs, losses, shares = np.ones(T + K, f32), np.zeros(LANES, f32), np.zeros(T, f32)
    signs[:T], order = f32(-1), np.arange(n_rows)
    stop = min(last, cursor[POSITION] + max_tokens)
    hot_inputs, hot_outputs = input_bases.shape[0], output_bases.shape[0]
    loss, pairs, n_blocks = 0.0, 0, 0
    while True:
        if n_blocks % EXCHANGE_EVERY == 0:
            exchange(Z, input_bases, copies[0])
            exchange(C, output_bases, copies[1])
        n_blocks += 1
        count, n = next_block(
            ids, offsets, cursor, pending, state, keep, last, stop, window, shrink, max_contexts, centres,
            contexts, outputs, spans,
        )  # fmt: skip
        if count == 0:
            break
        compose(A, contexts, n, Z, indptr, rows, hot_inputs, copies[0])
        draw_negatives(outputs, T, accept, alias, state)
        to_copies(outputs, hot_outputs, copies[1])
        gather(B, T + K, C, outputs)
        clear(steps, n, width)
        pairs += weigh_means(weights, shares, spans, count, outputs, f32(negative / K))
        rate = f32(alpha + (alpha_end - alpha) * ((cursor[POSITION] - first) / (last - first)))
        cbow_block(
            A, B, H, errors, running, F, weights, shares, signs, losses, spans, count, n, rate, True,
            steps, C, order, outputs, order,
        )  # fmt: skip
        spread(steps, contexts, n, Z, indptr, rows, hot_inputs, copies[0])
        loss += total(losses)
        cursor[CENTRE] += count
    exchange(Z, input_bases, copies[0])
    exchange(C, output_bases, copies[1])
    return loss, pairs, cursor[POSITION] >= last and cursor[CENTRE] >= cursor[FILLED]
