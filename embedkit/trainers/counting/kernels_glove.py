"""The numba kernels of GloVe: bringing entries into blocks, and learning from a block."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from embedkit.compiled import kernel
from embedkit.trainers.machinery.kernels_tiles import INT32, LANES, LOOSE, VECTOR, Code, prefetch_row

ROWS_A_TOKEN = 4  # of the table: vector, its sums of squares; context vector, its sums of squares
_INTS = ir.VectorType(INT32, LANES)
_AHEAD = 2  # entries between asking for their rows and needing them


def _inverse_root(code, x):
    """Write x^-½, right to 7e-4: halving the exponent, and a Newton step with constants that level its error.

    Lomont 2003 ("Fast inverse square root"); the constants are Kadlec's 2010. It scales AdaGrad's steps only, which do
    not need more, and takes a quarter of the time of a root and a division.
    """
    builder = code.builder
    halved = builder.lshr(builder.bitcast(x, _INTS), ir.Constant(_INTS, [1] * LANES))
    first = builder.bitcast(builder.sub(ir.Constant(_INTS, [0x5F1FFFF9] * LANES), halved), VECTOR)
    square = builder.fmul(first, first, flags=LOOSE)
    minus_x = builder.fsub(code.constant(0), x)
    factor = code.fma(minus_x, square, code.constant(2.38924456))
    return builder.fmul(builder.fmul(first, code.constant(0.703952253)), factor)


@intrinsic
def _step(typingctx, table, a, b, rates_a, rates_b, target, weight):
    """Take an AdaGrad step on rows a and b of the table for the loss ½ weight (a·b - target)²; return twice the loss.

    Rows a + 1 and b + 1 hold 1 + the sums of squared steps: with r the rates and g a gradient, they grow by (r g)², and
    the row moves by -r g / √sum. Where a rate is 0, numbers stay.
    """

    def write(context, builder, signature, args):
        code = Code(context, builder, signature, args)
        t = code.matrix(0)
        rows = [code.at(t, args[1]), code.at(t, args[2])]
        sums = [code.at(t, code.plus(args[1], 1)), code.at(t, code.plus(args[2], 1))]
        rates = [code.vector(3), code.vector(4)]
        products = code.slot()
        with code.steps(0, t[1], LANES) as (z, _):
            code.accumulate(products, *(code.load(code.beyond(row, z)) for row in rows))
        total, apart = builder.load(products), LANES // 2
        while apart:
            total = code.add(total, code.gather(total, total, [(lane + apart) % LANES for lane in range(LANES)]))
            apart //= 2
        error = builder.fsub(builder.extract_element(total, INT32(0)), args[5])
        slope = builder.fmul(error, args[6])
        slopes = code.spread(slope)
        with code.steps(0, t[1], LANES) as (z, _):
            before = [code.load(code.beyond(row, z)) for row in rows]
            for row, of_row, rate, own, other in zip(rows, sums, rates, before, before[::-1], strict=True):
                change = builder.fmul(builder.fmul(slopes, code.load(code.beyond(rate, z))), other)
                squares = code.fma(change, change, code.load(code.beyond(of_row, z)))
                code.store(squares, code.beyond(of_row, z))
                moved = builder.fsub(own, builder.fmul(change, _inverse_root(code, squares)))
                code.store(moved, code.beyond(row, z))
        return builder.fmul(slope, error)

    n, number = types.intp, types.float32
    return number(table, n, n, rates_a, rates_b, number, number), write


@kernel(inline="always")
def _bits(state):
    """Return the next 64 random bits (Steele, Lea and Flood 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel(inline="always")
def _below(state, n):
    """Return a random number from 0 to n - 1."""
    return np.int64(((_bits(state) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@kernel
def learn_block(table, pairs, targets, rates, context_rates, rows, columns, unmet, state):
    """Learn from some entries in turn, each as token and context, and the other way round; return the loss.

    Parameters
    ----------
    table : float32 (4 n_tokens × width)
        Four rows a token, see `ROWS_A_TOKEN`. A vector ends in its bias and a 1, a context vector in a 1 and its bias.
    pairs : int32 (n × 2)
        The two tokens of each entry.
    targets : float32 (n × 2)
        The logarithm of the entry's count, and its weight.
    rates, context_rates : float32 (width)
        The learning rate of each number of a vector, and of a context vector; 0 for what does not change.
    rows, columns : (int, int)
        The ranges of tokens that the block lies in.
    unmet : (float, float)
        Where the second is above 0: after each entry a pair drawn evenly from the block is learned from too, with
        these as its logarithm and weight.
    state : uint64 (1)
        Of the random numbers.

    Returns
    -------
    float
        Σ weight (v·c - logarithm)², each term as it was before its step.
    """
    loss = 0.0
    for entry in range(pairs.shape[0]):
        if entry + _AHEAD < pairs.shape[0]:
            for side in range(2):
                first = ROWS_A_TOKEN * pairs[entry + _AHEAD, side]
                for row in range(ROWS_A_TOKEN):
                    prefetch_row(table, first + row)
        i, j = ROWS_A_TOKEN * pairs[entry, 0], ROWS_A_TOKEN * pairs[entry, 1]
        logarithm, weight = targets[entry, 0], targets[entry, 1]
        loss += _step(table, i, j + 2, rates, context_rates, logarithm, weight)
        if i != j:
            loss += _step(table, j, i + 2, rates, context_rates, logarithm, weight)
        if unmet[1] > 0:
            i = ROWS_A_TOKEN * (rows[0] + _below(state, rows[1] - rows[0]))
            j = ROWS_A_TOKEN * (columns[0] + _below(state, columns[1] - columns[0]))
            loss += _step(table, i, j + 2, rates, context_rates, unmet[0], unmet[1])
            if i != j:
                loss += _step(table, j, i + 2, rates, context_rates, unmet[0], unmet[1])
    return loss


@kernel
def arrange(indptr, indices, counts, first, last, bounds, x_max, exponent, state, ends, pairs, targets):
    """Sort the entries of rows first..last up to the diagonal into blocks by their columns, each block shuffled.

    Parameters
    ----------
    indptr, indices, counts : int64, int32, float32
        Symmetric counts in compressed rows.
    bounds : int64 (n_parts + 1)
        Block p has the columns bounds[p]..bounds[p + 1].
    x_max, exponent : float
        An entry of count x has the weight (x / x_max)^exponent, 1 at most.
    state : uint64 (1)
        Of the random numbers.
    ends : int64 (n_parts)
        Receives where each block ends.
    pairs, targets
        Receive the entries, see `learn_block`.

    Returns
    -------
    int
        How many entries there are.
    """
    free = np.zeros(ends.shape[0] + 1, np.int64)
    for filling in range(2):
        for row in range(first, last):
            part = 0
            for entry in range(indptr[row], indptr[row + 1]):
                column = indices[entry]
                if column > row:
                    break
                while bounds[part + 1] <= column:
                    part += 1
                if filling:
                    place = free[part]
                    pairs[place, 0], pairs[place, 1] = row, column
                    targets[place, 0] = np.log(counts[entry])
                    targets[place, 1] = min(1.0, (counts[entry] / x_max) ** exponent)
                free[part + (not filling)] += 1
        if not filling:
            for part in range(1, free.shape[0]):
                free[part] += free[part - 1]
    start = 0
    for part in range(ends.shape[0]):
        ends[part] = free[part]
        for place in range(ends[part] - 1, start, -1):
            other = start + _below(state, place - start + 1)
            for side in range(2):
                pairs[place, side], pairs[other, side] = pairs[other, side], pairs[place, side]
                targets[place, side], targets[other, side] = targets[other, side], targets[place, side]
        start = ends[part]
    return start
