"""Skip-gram and CBOW with hierarchical softmax: a token is a leaf of a binary tree, found by decisions from the root.

p(token | h) is the product, over the inner nodes on its path, of sigma(+-h . node): plus where the path goes on with
code 0, minus with code 1 (Morin and Bengio 2005; Mikolov et al. 2013, arXiv 1310.4546, equation 3). The tree is
Huffman's over the counts (1952), so that frequent tokens have short paths, and probabilities of all tokens add up to 1
with log2(n_tokens) products instead of n_tokens.

The tree is one array, `up` (int32, n_tokens leaves and then n_tokens - 1 inner nodes): `2 * parent + code`, -1 for the
root. Inner nodes are numbered by falling count, the root 0, so those most often passed are the first ones.

A centre's contexts and its path make one small product of matrices; steps are those of its vectors as they are when
its turn comes. Workers may share W and N without locks (Hogwild!, arXiv 1106.5730).
"""

import numpy as np

from embedkit.compiled import kernel
from embedkit.trainers.machinery.kernels_tiles import (
    COLUMNS,
    LANES,
    add_sums_2,
    add_sums_4,
    add_sums_6,
    add_sums_transposed,
    add_sums_transposed_4,
    copy_row,
    dot_tile,
    gradient_tile,
    mix_rows,
)
from embedkit.trainers.sampling.kernels_blocks import CENTRE, FILLED, POSITION, input_rows, next_block, unpiled
from embedkit.trainers.sampling.kernels_hot import exchange, to_copies

f32 = np.float32
EXCHANGE_EVERY = 1536  # centres


@kernel
def grow(counts, order, up):
    """Build Huffman's tree (1952) by two queues (van Leeuwen 1976): leaves, and nodes in the order they are made.

    Parameters
    ----------
    counts : int64 (n_tokens)
    order : int64 (n_tokens)
        The tokens by rising count.
    up : int32 (2 * n_tokens - 1)
        Receives the tree, as above. Of equal counts a leaf goes before a node, which keeps paths short.

    Returns
    -------
    depth : int
        The longest path.
    mean : float
        Mean path by counts: decisions for an occurrence.
    """
    n = counts.shape[0]
    sums = np.empty(max(n - 1, 1), np.int64)
    leaf, node = 0, 0
    for made in range(n - 1):
        number = n - 2 - made
        total = np.int64(0)
        for code in range(2):
            if leaf < n and (node >= made or counts[order[leaf]] <= sums[node]):
                child, count = order[leaf], counts[order[leaf]]
                leaf += 1
            else:
                child, count = n + n - 2 - node, sums[node]
                node += 1
            up[child] = 2 * number + code
            total += count
        sums[made] = total
    up[n if n > 1 else 0] = -1
    depth, steps, occurrences = 0, 0.0, 0.0
    for token in range(n):
        length, step = 0, up[token]
        while step >= 0:
            length += 1
            step = up[n + step // 2]
        depth = max(depth, length)
        steps += length * counts[token]
        occurrences += counts[token]
    return depth, steps / max(occurrences, 1.0)


@kernel
def add_up_paths(up, N, sums):
    """Set each token's row of `sums` to the nodes on its path added up: plus where it goes on with code 0, else minus.

    Parameters
    ----------
    up : int32 (2 * n_tokens - 1)
    N : float32 (rows, width)
        The inner nodes' vectors.
    sums : float32 (n_tokens, width)
        Zeros, to be filled.
    """
    n_tokens = sums.shape[0]
    for token in range(n_tokens):
        step = up[token]
        while step >= 0:
            mix_rows(sums, token, sums, token, f32(1), N, step >> 1, f32(-1) if step & 1 else f32(1))
            step = up[n_tokens + (step >> 1)]


@kernel
def climb(up, token, n_tokens, n_hot, copies, nodes, signs):
    """Write the path of a token, leaf to root, as rows of N and signs; returns its length.

    What follows up to a whole tile repeats the first, the least shared of them, and has no weight.
    """
    length = 0
    step = up[token]
    while step >= 0:
        node = step >> 1
        nodes[length] = node + copies if node < n_hot else node
        signs[length] = f32(1) if step & 1 else f32(-1)
        step = up[n_tokens + node]
        length += 1
    for y in range(length, (length + COLUMNS - 1) // COLUMNS * COLUMNS):
        nodes[y] = nodes[0]
    return length


@kernel
def clear(matrix):
    """Set a matrix to zero; a slice in a hot loop would count references, a locked instruction each."""
    for x in range(matrix.shape[0]):
        for y in range(matrix.shape[1]):
            matrix[x, y] = f32(0)


@kernel
def add_losses(losses, sums):
    """Add the losses of a tile's lanes to their sums, float64."""
    for lane in range(losses.shape[0]):
        sums[lane] += losses[lane]


@kernel
def gather(buffer, n, table, rows):
    """Copy n rows of a table next to each other."""
    for x in range(n):
        copy_row(buffer, x, table, rows[x])


@kernel
def aligned(rows, columns):
    """Return a float32 matrix of zeros that begins on a cache line."""
    raw = np.zeros(rows * columns + 16, f32)
    skip = (64 - raw.ctypes.data % 64) % 64 // 4
    return raw[skip : skip + rows * columns].reshape((rows, columns))


@kernel
def make_masks(deepest):
    """Return rows of weights: row `length` has so many ones, and zeros up to a whole number of registers."""
    masks = aligned(deepest + 1, max(deepest, 2 * LANES))
    for length in range(deepest + 1):
        for y in range(length):
            masks[length, y] = f32(1)
    return masks


@kernel
def weigh(weights, masks, n, even, length):
    """Give `n` rows the weight 1 in `length` columns, and none to all else of `even` rows."""
    for x in range(n):
        copy_row(weights, x, masks, length)
    for x in range(n, even):
        copy_row(weights, x, masks, 0)


@kernel
def step_nodes(F, length, H, n, N, nodes):
    """Add to the nodes of a path the steps that n rows of H make: N[nodes[y]] += sum of F[x, y] H[x] over x."""
    y = 0
    while y < length:
        if y + 4 < length:
            add_sums_transposed(F, y, H, 0, n, 0, 0, N, nodes)
            y += COLUMNS
        else:
            add_sums_transposed_4(F, y, H, 0, n, 0, 0, N, nodes)
            y += 4


@kernel
def contexts_of(inputs, spans, t, rows):
    """Write the input rows that are centre t's contexts; returns how many. An even number of them is filled."""
    n = 0
    for x in range(spans[0, t], spans[1, t]):
        if x != spans[2, t]:
            rows[n] = inputs[x]
            n += 1
    if n % 2 == 1:
        rows[n] = rows[0]
    return n


@kernel
def learn_path(A, B, F, weights, masks, signs, losses, n, length, alpha, W, N, rows, nodes):
    """Learn one centre's path from n contexts: A holds their vectors, B the nodes'; both tables get their steps."""
    even = (n + 1) // 2 * 2
    for y in range(0, length, COLUMNS):
        for x in range(0, even, 2):
            dot_tile(A, x, B, y, F)
    weigh(weights, masks, n, even, length)
    gradient_tile(F, weights, signs, even, alpha, losses)
    x = 0
    while x < even:
        if x + 6 <= even:
            add_sums_6(F, x, B, 0, length, 0, 0, W, rows)
            x += 6
        elif x + 4 <= even:
            add_sums_4(F, x, B, 0, length, 0, 0, W, rows)
            x += 4
        else:
            add_sums_2(F, x, B, 0, length, 0, 0, W, rows)
            x += 2
    step_nodes(F, length, A, n, N, nodes)


@kernel
def skipgram(
    ids, offsets, cursor, pending, state, W, N, keep, up, depth, first, last, max_tokens,
    window, shrink, max_contexts, T, alpha, alpha_end, bases, copies,
):  # fmt: skip
    """Go on with skip-gram with hierarchical softmax: each context's vector w learns the decisions of its centre.

    The loss of a pair is the sum over the nodes n of the centre's path of softplus(-s w.n), s = 1 for code 0, else -1.

    Parameters
    ----------
    ids, offsets, cursor, pending, state, W, keep, first, last, max_tokens, window, shrink, max_contexts
        As of `kernels_sgns.skipgram`.
    N : float32 (rows, width)
        The inner nodes' vectors, and behind n_tokens rows the workers' copies of the first nodes.
    up : int32 (2 * n_tokens - 1)
        The tree.
    depth : int
        Its longest path.
    T : int
        How many centres are framed at a time, a multiple of 8.
    alpha, alpha_end, bases, copies
        As of `kernels_sgns.skipgram`.

    Returns
    -------
    loss, pairs, finished : float, int, bool
        As of `kernels_sgns.skipgram`.
    """
    n_rows, width, n_tokens = input_rows(T, window, max_contexts), W.shape[1], keep.shape[0]
    deepest = (depth + LANES) // LANES * LANES
    A, B = aligned(n_rows, width), aligned(deepest, width)
    F_1, F_2, F_3 = aligned(n_rows, LANES), aligned(n_rows, 2 * LANES), aligned(n_rows, deepest)
    w_1, w_2, w_3 = aligned(n_rows, LANES), aligned(n_rows, 2 * LANES), aligned(n_rows, deepest)
    inputs, outputs, spans = np.zeros(n_rows, np.int64), np.zeros(T, np.int64), np.zeros((3, T), np.int64)
    rows, nodes = np.zeros(n_rows, np.int64), np.zeros(deepest, np.int64)
    signs, losses = np.zeros(max(deepest, 2 * LANES), f32), np.zeros(LANES, f32)
    stop = min(last, cursor[POSITION] + max_tokens)
    masks, sums = make_masks(deepest), np.zeros(LANES)
    pairs, n_hot, since = 0, bases.shape[1], EXCHANGE_EVERY
    while True:
        if n_hot > 0 and since >= EXCHANGE_EVERY:
            exchange(W, bases[0], copies)
            exchange(N, bases[1], copies)
            since = 0
        count, n = next_block(
            ids, offsets, cursor, pending, state, keep, last, stop, window, shrink, max_contexts, T,
            inputs, outputs, spans,
        )  # fmt: skip
        if count == 0:
            break
        if n_hot > 0:
            to_copies(inputs, n_hot, copies)
        rate = f32(alpha + (alpha_end - alpha) * ((cursor[POSITION] - first) / (last - first)))
        if window == 0:
            rate *= unpiled(inputs, n, spans, count, count)
        for t in range(count):
            n = contexts_of(inputs, spans, t, rows)
            length = climb(up, outputs[t], n_tokens, n_hot, copies, nodes, signs)
            if n == 0:
                continue
            pairs += n
            gather(A, (n + 1) // 2 * 2, W, rows)
            gather(B, (length + COLUMNS - 1) // COLUMNS * COLUMNS, N, nodes)
            if length <= LANES:
                learn_path(A, B, F_1, w_1, masks, signs, losses, n, length, rate, W, N, rows, nodes)
            elif length <= 2 * LANES:
                learn_path(A, B, F_2, w_2, masks, signs, losses, n, length, rate, W, N, rows, nodes)
            else:
                learn_path(A, B, F_3, w_3, masks, signs, losses, n, length, rate, W, N, rows, nodes)
            add_losses(losses, sums)
        cursor[CENTRE] += count
        since += count
    exchange(W, bases[0], copies)
    exchange(N, bases[1], copies)
    return sums.sum(), pairs, cursor[POSITION] >= last and cursor[CENTRE] >= cursor[FILLED]


@kernel
def learn_mean(H, B, F, weights, masks, signs, losses, step, n, length, alpha, factor, W, N, rows, nodes, order):
    """Learn one centre's path from the mean of n contexts, the first row of H; `factor` is each context's part."""
    for y in range(0, length, COLUMNS):
        dot_tile(H, 0, B, y, F)
    weigh(weights, masks, 1, 2, length)
    gradient_tile(F, weights, signs, 2, alpha, losses)
    clear(step)
    add_sums_2(F, 0, B, 0, length, 0, 0, step, order)
    for x in range(n):
        mix_rows(W, rows[x], W, rows[x], f32(1), step, 0, factor)
    step_nodes(F, length, H, 1, N, nodes)


@kernel
def cbow(
    ids, offsets, cursor, pending, state, W, N, keep, up, depth, first, last, max_tokens,
    window, shrink, max_contexts, T, alpha, alpha_end, bases, copies,
):  # fmt: skip
    """Go on with continuous bag of words with hierarchical softmax: the mean h of a centre's contexts learns its path.

    The loss of a centre is the sum over the nodes n of its path of softplus(-s h.n), s = 1 for code 0, else -1. A
    context's step is the loss's gradient, the mean's divided by the number of contexts. A centre alone has no loss.
    Parameters and what is returned are those of `skipgram`; pairs are of a centre and its mean.
    """
    n_rows, width, n_tokens = input_rows(T, window, max_contexts), W.shape[1], keep.shape[0]
    deepest = (depth + LANES) // LANES * LANES
    H, step, B = aligned(2, width), aligned(2, width), aligned(deepest, width)
    F, weights = aligned(2, deepest), aligned(2, deepest)
    inputs, outputs, spans = np.zeros(n_rows, np.int64), np.zeros(T, np.int64), np.zeros((3, T), np.int64)
    rows, nodes, order = np.zeros(n_rows, np.int64), np.zeros(deepest, np.int64), np.arange(2)
    signs, losses = np.zeros(deepest, f32), np.zeros(LANES, f32)
    stop = min(last, cursor[POSITION] + max_tokens)
    masks, sums = make_masks(deepest), np.zeros(LANES)
    pairs, n_hot, since = 0, bases.shape[1], EXCHANGE_EVERY
    while True:
        if n_hot > 0 and since >= EXCHANGE_EVERY:
            exchange(W, bases[0], copies)
            exchange(N, bases[1], copies)
            since = 0
        count, n = next_block(
            ids, offsets, cursor, pending, state, keep, last, stop, window, shrink, max_contexts, T,
            inputs, outputs, spans,
        )  # fmt: skip
        if count == 0:
            break
        if n_hot > 0:
            to_copies(inputs, n_hot, copies)
        rate = f32(alpha + (alpha_end - alpha) * ((cursor[POSITION] - first) / (last - first)))
        for t in range(count):
            n = contexts_of(inputs, spans, t, rows)
            length = climb(up, outputs[t], n_tokens, n_hot, copies, nodes, signs)
            if n == 0:
                continue
            pairs += 1
            clear(H)
            for x in range(n):
                mix_rows(H, 0, H, 0, f32(1), W, rows[x], f32(1 / n))
            gather(B, (length + COLUMNS - 1) // COLUMNS * COLUMNS, N, nodes)
            learn_mean(
                H, B, F, weights, masks, signs, losses, step, n, length, rate, f32(1 / n), W, N, rows, nodes, order
            )
            add_losses(losses, sums)
        cursor[CENTRE] += count
        since += count
    exchange(W, bases[0], copies)
    exchange(N, bases[1], copies)
    return sums.sum(), pairs, cursor[POSITION] >= last and cursor[CENTRE] >= cursor[FILLED]
