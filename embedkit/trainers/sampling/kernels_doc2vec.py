"""Paragraph vectors with negative sampling.

Distributed bag of words predicts each token from its sentence's key alone, one after the other, as word2vec does:
documents are short, so that blocks would have few tokens of each. Distributed memory predicts it from the mean of the
key and the tokens around it, on the frames of `kernels_blocks`; the rest is CBOW's, see `kernels_sgns`: negatives
are shared by a block and all gradients are those at the vectors it began with. Workers may share the tables without
locks.
"""

import numpy as np

from embedkit.compiled import kernel
from embedkit.trainers.machinery.kernels_tiles import (
    COLUMNS,
    LANES,
    add_sums_2,
    add_sums_6,
    add_sums_transposed,
    dot_rows,
    dot_tile,
    gradient_tile,
    mix_rows,
    prefetch_row,
)
from embedkit.trainers.sampling.kernels_blocks import (
    CENTRE,
    FILLED,
    NOISE,
    POSITION,
    READING,
    SENTENCE,
    WHOSE,
    below,
    draw,
    draw_negatives,
    fraction,
    input_rows,
    next_block,
)
from embedkit.trainers.sampling.kernels_sgns import (
    aligned,
    clear,
    gather,
    spread_errors,
    take_means,
    tile_height,
    total,
)

f32 = np.float32
LEAST = 1e-300  # the smallest likelihood whose logarithm is taken


@kernel
def draw_outputs(outputs, row, token, C, accept, alias, state):
    """Put a token and its noise into a row of `outputs`, and have theirs fetched: they are used one token later."""
    outputs[row, 0] = token
    for y in range(1, outputs.shape[1]):
        bits = draw(state, NOISE)
        cell = below(bits, accept.shape[0])
        other = np.int64(alias[cell])  # read in any case, as in `draw_negatives`
        outputs[row, y] = cell if fraction(bits) < accept[cell] else other
    for y in range(outputs.shape[1]):
        prefetch_row(C, outputs[row, y])


@kernel
def learn_token(D, key, C, outputs, row, errors, rate):
    """Step the output vectors of a token and its noise, and the key's; return the likelihood before."""
    likelihood = 1.0
    clear(errors, 1, errors.shape[1])
    for y in range(outputs.shape[1]):
        other = outputs[row, y]
        if y > 0 and other == outputs[row, 0]:
            continue
        chance = f32(1) / (f32(1) + np.exp(-dot_rows(D, key, C, other)))
        likelihood *= chance if y == 0 else f32(1) - chance
        step = rate * ((f32(1) if y == 0 else f32(0)) - chance)
        mix_rows(errors, 0, errors, 0, f32(1), C, other, step)
        mix_rows(C, other, C, other, f32(1), D, key, step)
    mix_rows(D, key, D, key, f32(1), errors, 0, f32(1))
    return likelihood


@kernel
def dbow(
    ids, offsets, sentence_keys, cursor, state, C, D, keep, accept, alias, first, last, max_tokens, negative, alpha,
    alpha_end,
):  # fmt: skip
    """Go on with distributed bag of words (Le and Mikolov 2014, arXiv 1405.4053, section 2.3), by negative sampling.

    A key's vector d learns to score its token's output vector c above noise: the loss of an occurrence is
    softplus(-d.c) + the sum over `negative` tokens drawn for it of softplus(d.c'); one that equals the token is left
    out.

    Parameters
    ----------
    ids, offsets, keep, accept, alias, first, last, max_tokens, alpha, alpha_end
        As those of `kernels_sgns.skipgram`.
    sentence_keys : int32 (n_sentences)
        The key of each sentence, -1 for none.
    cursor, state : int64 (4), uint64 (2)
        What goes on from call to call, of which the first two places of the cursor are used.
    C, D : float32 (n_tokens and n_keys, width)
        The tokens' output vectors and the keys' vectors, which change in place.
    negative : int
        Noise tokens for each occurrence.

    Returns
    -------
    loss, pairs, finished : float, int, bool
        Pairs are of a key and a token.
    """
    errors, outputs = aligned(1, D.shape[1]), np.zeros((2, negative + 1), np.int64)
    position, sentence = cursor[POSITION], cursor[SENTENCE]
    stop = min(last, position + max_tokens)
    loss, pairs = 0.0, 0
    waiting, rate = np.int64(-1), f32(0)  # the key of the token whose rows are being fetched, and its learning rate
    while position < stop:
        while offsets[sentence + 1] <= position:
            sentence += 1
        token, key = ids[position], np.int64(sentence_keys[sentence])
        position += 1
        if key < 0 or (keep[token] < f32(1) and fraction(draw(state, READING)) >= keep[token]):
            continue
        draw_outputs(outputs, pairs % 2, token, C, accept, alias, state)
        if waiting >= 0:
            loss -= np.log(max(learn_token(D, waiting, C, outputs, 1 - pairs % 2, errors, rate), LEAST))
        waiting, rate = key, f32(alpha + (alpha_end - alpha) * ((position - first) / (last - first)))
        pairs += 1
    if waiting >= 0:
        loss -= np.log(max(learn_token(D, waiting, C, outputs, 1 - pairs % 2, errors, rate), LEAST))
    cursor[POSITION], cursor[SENTENCE] = position, sentence
    return loss, pairs, position >= last


@kernel
def find_rows(rows, pending, cursor, sentence_keys, count):
    """Set the row of each centre's key, -1 where its sentence has none."""
    for t in range(count):
        rows[t] = sentence_keys[pending[WHOSE, cursor[CENTRE] + t]]


@kernel
def weigh(weights, shares, rows, spans, count, outputs, share):
    """Set the weights of centres with outputs, and what part of its mean each member is; returns centres with any."""
    T = spans.shape[1]
    clear(weights, T, weights.shape[1])
    pairs = 0
    for t in range(T):
        shares[t] = f32(0)
    for t in range(count):
        size = (1 if rows[t] >= 0 else 0) + spans[1, t] - spans[0, t] - (1 if spans[2, t] >= 0 else 0)
        if size > 0:
            pairs += 1
            shares[t] = f32(1 / size)
            weights[t, t] = f32(1)
            for y in range(T, outputs.shape[0]):
                weights[t, y] = share if outputs[y] != outputs[t] else f32(0)
    return pairs


@kernel
def add_keys(H, D, rows, shares, count):
    """Add to each mean its part of the key's vector."""
    for t in range(count):
        if rows[t] >= 0:
            mix_rows(H, t, H, t, f32(1), D, rows[t], shares[t])


@kernel
def step_keys(D, errors, rows, shares, count):
    """Add to each key's vector its part of the steps of its means."""
    for t in range(count):
        if rows[t] >= 0:
            mix_rows(D, rows[t], D, rows[t], f32(1), errors, t, shares[t])


@kernel
def predict(H, errors, F, B, weights, signs, losses, alpha, C, outputs, order):
    """Step the outputs towards predicting each centre from its mean; `errors` receives the means' steps."""
    T, n_outputs = H.shape[0], outputs.shape[0]
    clear(errors, T, H.shape[1])
    clear(F, T, T)
    for t in range(0, T, 2):
        dot_tile(H, t, B, t // COLUMNS * COLUMNS, F)
        for y in range(T, n_outputs, COLUMNS):
            dot_tile(H, t, B, y, F)
    gradient_tile(F, weights, signs, T, alpha, losses)
    t = 0
    while t < T:
        height = tile_height(t, T)
        if height == 6:
            add_sums_6(F, t, B, t, t + height, T, n_outputs, errors, order)
        else:
            add_sums_2(F, t, B, t, t + height, T, n_outputs, errors, order)
        t += height
    for y in range(0, n_outputs, COLUMNS):
        start, stop = (y, y + COLUMNS) if y < T else (0, T)
        add_sums_transposed(F, y, H, start, stop, 0, 0, C, outputs)


@kernel
def dm(
    ids, offsets, sentence_keys, cursor, pending, state, W, C, D, keep, accept, alias, first, last, max_tokens,
    window, shrink, negative, T, K, centres, alpha, alpha_end,
):  # fmt: skip
    """Go on with distributed memory (Le and Mikolov 2014, arXiv 1405.4053, section 2.2), by negative sampling.

    The mean h of a centre's key vector and of the input vectors of the tokens in its window learns to score the
    centre's output vector c above noise: its loss is softplus(-h.c) + negative / K * sum over the block's K negatives
    of softplus(h.c'). Each member's step is the gradient of that.

    Parameters are those of `kernels_sgns.skipgram`, and
    sentence_keys : int32 (n_sentences)
        The key of each sentence, -1 for none.
    D : float32 (n_keys, width)
        The keys' vectors, which change in place.

    Returns
    -------
    loss, pairs, finished : float, int, bool
        Pairs are of a centre and its mean.
    """
    n_rows, width = input_rows(T, window, 0), W.shape[1]
    A, B = aligned(n_rows, width), aligned(T + K, width)
    H, errors, running = aligned(T, width), aligned(T, width), aligned(n_rows + 1, width)
    F, weights = aligned(T, T + K), aligned(T, T + K)
    inputs, outputs, spans = np.zeros(n_rows, np.int64), np.zeros(T + K, np.int64), np.zeros((3, T), np.int64)
    signs, losses, shares = np.ones(T + K, f32), np.zeros(LANES, f32), np.zeros(T, f32)
    order, rows = np.arange(T), np.zeros(T, np.int64)
    signs[:T] = f32(-1)
    stop = min(last, cursor[POSITION] + max_tokens)
    loss, pairs = 0.0, 0
    while True:
        count, n = next_block(
            ids, offsets, cursor, pending, state, keep, last, stop, window, shrink, 0, centres, inputs, outputs, spans
        )
        if count == 0:
            break
        draw_negatives(outputs, T, accept, alias, state)
        find_rows(rows, pending, cursor, sentence_keys, count)
        gather(B, T + K, C, outputs)
        pairs += weigh(weights, shares, rows, spans, count, outputs, f32(negative / K))
        rate = f32(alpha + (alpha_end - alpha) * ((cursor[POSITION] - first) / (last - first)))
        clear(H, T, width)
        gather(A, (n + 1) // 2 * 2, W, inputs)
        clear(running, 1, width)
        take_means(H, A, running, shares, spans, count, n)
        add_keys(H, D, rows, shares, count)
        predict(H, errors, F, B, weights, signs, losses, rate, C, outputs, order)
        spread_errors(errors, running, shares, spans, count, n, W, inputs)
        step_keys(D, errors, rows, shares, count)
        loss += total(losses)
        cursor[CENTRE] += count
    return loss, pairs, cursor[POSITION] >= last and cursor[CENTRE] >= cursor[FILLED]
