"""Skip-gram and CBOW with the full softmax, by matrix products of whole batches.

p(o | h) = exp(h . c_o) / sum over all tokens v of exp(h . c_v), with an input vector w and an output vector c for each
token. The loss of a pair is -ln p(o | h); a batch's is their mean, and one update goes against its gradient:

    dc_v = mean of (p(v | h) - [v = o]) h        dh = mean of sum over v of (p(v | h) - [v = o]) c_v

In skip-gram h is a centre's input vector and o each of its contexts (one pair each); in CBOW h is the mean of the
contexts' input vectors and o the centre (one pair a centre). Pairs that follow each other with the same h share a row
of the products, since within a batch nothing changes.

What goes on from call to call, besides the arrays of `kernels_blocks`:

dW, dC, touched : float32 (n_tokens, width) twice, bool (n_tokens)
    Sums of the gradients of the batch under way, and which rows of dW are not 0.
batch : int64 (2)
    Pairs in the batch under way, and updates made.
rate : float64 (1)
    The learning rate of the batch under way: that of the position where it began.
"""

import numpy as np

from embedkit.compiled import kernel
from embedkit.trainers.sampling.kernels_blocks import CENTRE, FILLED, POSITION, WHERE, input_rows, next_block

f32, i32 = np.float32, np.int32
T = 8  # centres that are framed at a time
PAIRS, UPDATES = range(2)
LOG2_E, LN_2 = f32(1 / np.log(2)), f32(np.log(2))
SERIES = np.polynomial.chebyshev.Chebyshev.interpolate(np.exp, 6, [-0.35, 0.35]).convert(kind=np.polynomial.Polynomial)
P0, P1, P2, P3, P4, P5, P6 = (f32(coefficient) for coefficient in SERIES.coef)


@kernel(inline="always")
def exponential(x):
    """Return exp(x) for x in (-inf, 0], right to 1e-6 of it and 0 below -87; LLVM turns it into vectors."""
    x = max(x, f32(-87))
    power = np.floor(x * LOG2_E + f32(0.5))
    r = x - power * LN_2
    series = ((((((P6 * r + P5) * r + P4) * r + P3) * r + P2) * r + P1) * r) + P0
    return series * i32((i32(power) + i32(127)) << i32(23)).view(f32)


@kernel
def to_gradient(Z, row, V, targets, start, stop):
    """Turn a row of logits into the gradient of the summed loss of its targets; returns that loss."""
    n = f32(stop - start)
    highest = Z[row, 0]
    for v in range(1, V):
        highest = max(highest, Z[row, v])
    loss = 0.0
    for k in range(start, stop):
        loss += np.float64(highest - Z[row, targets[k]])
    below = f32(0)
    for v in range(V):
        Z[row, v] = exponential(Z[row, v] - highest)
        below += Z[row, v]
    share = n / below
    for v in range(V):
        Z[row, v] *= share
    for k in range(start, stop):
        Z[row, targets[k]] -= f32(1)
    return loss + np.float64(n) * np.log(np.float64(below))


@kernel
def take_means(H, n, W, inputs, starts, groups):
    """Set row r of H to the mean of the input vectors of its group."""
    for r in range(n):
        start, stop = starts[groups[r]], starts[groups[r] + 1]
        part = f32(1 / (stop - start))
        for z in range(H.shape[1]):
            H[r, z] = f32(0)
        for k in range(start, stop):
            for z in range(H.shape[1]):
                H[r, z] += part * W[inputs[k], z]


@kernel
def spread(E, n, dW, touched, inputs, starts, groups):
    """Add row r of E to the gradients of its group's input vectors, a part to each."""
    for r in range(n):
        start, stop = starts[groups[r]], starts[groups[r] + 1]
        part = f32(1 / (stop - start))
        for k in range(start, stop):
            touched[inputs[k]] = True
            for z in range(E.shape[1]):
                dW[inputs[k], z] += part * E[r, z]


@kernel
def update(W, C, dW, dC, G, touched, step):
    """Go `step` against the gradients, of which the last part of dC is in G; they are 0 afterwards."""
    for v in range(C.shape[0]):
        for z in range(C.shape[1]):
            C[v, z] -= step * (dC[v, z] + G[v, z])
            dC[v, z] = f32(0)
        if touched[v]:
            touched[v] = False
            for z in range(W.shape[1]):
                W[v, z] -= step * dW[v, z]
                dW[v, z] = f32(0)


@kernel
def add(dC, G):
    """Add one matrix to another."""
    for v in range(dC.shape[0]):
        for z in range(dC.shape[1]):
            dC[v, z] += G[v, z]


@kernel
def collect(
    ids, offsets, cursor, pending, state, keep, last, stop, window, shrink, max_contexts, mean, most,
    frame_inputs, outputs, spans, inputs, in_starts, targets, out_starts, where,
):  # fmt: skip
    """Frame blocks until there are nearly `most` groups: a centre and its contexts each; returns how many.

    Group g's input vectors are those of `inputs[in_starts[g]:in_starts[g + 1]]`, what it is to score highest is
    `targets[out_starts[g]:out_starts[g + 1]]`, and `where[g]` its centre's position. A centre alone makes no group.
    """
    n = 0
    while n + T <= most:
        count, _ = next_block(
            ids, offsets, cursor, pending, state, keep, last, stop, window, shrink, max_contexts, T,
            frame_inputs, outputs, spans,
        )  # fmt: skip
        if count == 0:
            break
        many, n_many, one = (inputs, in_starts, targets) if mean else (targets, out_starts, inputs)
        single = out_starts if mean else in_starts
        for t in range(count):
            end = n_many[n]
            for x in range(spans[0, t], spans[1, t]):
                if x != spans[2, t]:
                    many[end] = frame_inputs[x]
                    end += 1
            if end > n_many[n]:
                one[n] = outputs[t]
                where[n] = pending[WHERE, cursor[CENTRE] + t]
                n_many[n + 1] = end
                single[n + 1] = n + 1
                n += 1
        cursor[CENTRE] += count
    return n


@kernel
def softmax(
    ids, offsets, cursor, pending, state, W, C, keep, first, last, max_tokens, window, shrink, max_contexts,
    mean, batch_size, alpha, alpha_end, H, E, logits, G, dW, dC, touched, batch, rate,
):  # fmt: skip
    """Go on with skip-gram, or CBOW where `mean`, with the full softmax.

    Parameters
    ----------
    ids, offsets, cursor, pending, state, keep, first, last, max_tokens, window, shrink, max_contexts
        As of `kernels_sgns.skipgram`.
    W, C : float32 (n_tokens, width)
        Input and output vectors, which change in place.
    mean : bool
        CBOW instead of skip-gram.
    batch_size : int
        Pairs in a batch; 0 for all of an epoch.
    alpha, alpha_end : float
        The learning rate at the part's first position, and past its last; linear between.
    H, E, logits, G : float32 (rows, width) twice, float32 (rows * n_tokens), float32 (n_tokens, width)
        Room for products of so many rows at once, at least T.
    dW, dC, touched, batch, rate
        What goes on, as above.

    Returns
    -------
    loss, pairs, finished : float, int, bool
        The loss is summed over pairs, each by the vectors that its batch began with.
    """
    V, most = C.shape[0], H.shape[0]
    n_rows, reach = input_rows(T, window, max_contexts), window if window > 0 else max_contexts
    frame_inputs, outputs, spans = np.zeros(n_rows, np.int64), np.zeros(T, np.int64), np.zeros((3, T), np.int64)
    inputs, targets = np.zeros(most * 2 * reach, np.int64), np.zeros(most * 2 * reach, np.int64)
    in_starts, out_starts = np.zeros(most + 1, np.int64), np.zeros(most + 1, np.int64)
    where, groups = np.zeros(most, np.int64), np.zeros(most, np.int64)
    begins, ends = np.zeros(most, np.int64), np.zeros(most, np.int64)
    stop = min(last, cursor[POSITION] + max_tokens)
    loss, pairs = 0.0, 0
    while True:
        n = collect(
            ids, offsets, cursor, pending, state, keep, last, stop, window, shrink, max_contexts, mean, most,
            frame_inputs, outputs, spans, inputs, in_starts, targets, out_starts, where,
        )  # fmt: skip
        if n == 0:
            break
        group, begin = 0, 0
        while group < n:
            if batch[PAIRS] == 0:
                rate[0] = alpha + (alpha_end - alpha) * (where[group] - first) / (last - first)
            rows, room = 0, batch_size - batch[PAIRS] if batch_size > 0 else len(targets)
            while group < n and room > 0:
                end = min(begin + room, out_starts[group + 1])
                groups[rows], begins[rows], ends[rows] = group, begin, end
                rows, room, begin = rows + 1, room - (end - begin), end
                if begin == out_starts[group + 1]:
                    group += 1
            take_means(H, rows, W, inputs, in_starts, groups)
            Z = logits[: rows * V].reshape((rows, V))
            np.dot(H[:rows], C.T, Z)
            for r in range(rows):
                loss += to_gradient(Z, r, V, targets, begins[r], ends[r])
                pairs += ends[r] - begins[r]
                batch[PAIRS] += ends[r] - begins[r]
            np.dot(Z, C, E[:rows])
            np.dot(Z.T, H[:rows], G)
            spread(E, rows, dW, touched, inputs, in_starts, groups)
            if batch[PAIRS] == batch_size:
                update(W, C, dW, dC, G, touched, f32(rate[0] / batch[PAIRS]))
                batch[PAIRS], batch[UPDATES] = 0, batch[UPDATES] + 1
            else:
                add(dC, G)
    finished = cursor[POSITION] >= last and cursor[CENTRE] >= cursor[FILLED]
    if finished and batch[PAIRS] > 0:
        G[:] = f32(0)
        update(W, C, dW, dC, G, touched, f32(rate[0] / batch[PAIRS]))
        batch[PAIRS], batch[UPDATES] = 0, batch[UPDATES] + 1
    return loss, pairs, finished
