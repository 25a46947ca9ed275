"""Small dense products in explicit vector registers, for kernels to call.

Left to itself LLVM turns a product's inner loop into 256-bit vectors, adds each dot product up across its lanes one
by one, and runs a loop of 16 steps as a scalar remainder, for it unrolls by 32. So the tiles are written as LLVM
vectors of the widest kind that the machine has. A tile reads each number once and uses it 2 to 8 times.

Every matrix is C-contiguous float32 with as many columns as is a multiple of 16 (`F`, `G` and `weights` too).
Nothing here checks bounds. Numba does not see when this file changes: after an edit, clear the caches of its callers.
"""

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

LANES = 16 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 8
COLUMNS = LANES // 2  # outputs that a tile of dot products, or of transposed sums, covers
FLOAT, INT32 = ir.FloatType(), ir.IntType(32)
VECTOR = ir.VectorType(FLOAT, LANES)
LOOSE = ("contract", "nsz")

EXPONENTIAL = np.polynomial.chebyshev.Chebyshev.interpolate(lambda x: np.exp(-x), 6, [0, 1])
LOGARITHM = np.polynomial.chebyshev.Chebyshev.interpolate(lambda x: np.log1p(x + 1e-12) / (x + 1e-12), 7, [0, 1])


class Code:
    """Writes one tile: the builder of its instructions, with the words that tiles are made of."""

    def __init__(self, context, builder, signature, args):
        self.context, self.builder, self.kinds, self.args = context, builder, signature.args, args

    def matrix(self, index):
        """Return the address of an argument's first number, and how many columns it has."""
        kind = self.kinds[index]
        if kind.dtype != types.float32 or kind.layout != "C":
            raise TypeError(f"a tile takes C-contiguous float32 matrices, not {kind}")
        array = make_array(kind)(self.context, self.builder, self.args[index])
        return array.data, cgutils.unpack_tuple(self.builder, array.shape)[1]

    def vector(self, index):
        """Return the address of a one-dimensional argument's first element."""
        return make_array(self.kinds[index])(self.context, self.builder, self.args[index]).data

    def at(self, matrix, row, column=0):
        data, width = matrix
        offset = self.builder.add(self.builder.mul(row, width), self.whole(column))
        return self.builder.gep(data, [offset])

    def whole(self, value):
        return ir.Constant(ir.IntType(64), value) if isinstance(value, int) else value

    def plus(self, value, step):
        return self.builder.add(value, self.whole(step))

    def beyond(self, pointer, step):
        return self.builder.gep(pointer, [self.whole(step)])

    def load(self, pointer):
        return self.builder.load(self.builder.bitcast(pointer, VECTOR.as_pointer()), align=4)

    def store(self, value, pointer):
        self.builder.store(value, self.builder.bitcast(pointer, value.type.as_pointer()), align=4)

    def constant(self, value):
        return ir.Constant(VECTOR, [float(np.float32(value))] * LANES)

    def slot(self):
        """Return a variable holding zeros; LLVM keeps it in a register."""
        slot = cgutils.alloca_once(self.builder, VECTOR)
        self.builder.store(self.constant(0), slot)
        return slot

    def gather(self, a, b, lanes):
        wanted = ir.Constant(ir.VectorType(INT32, len(lanes)), [INT32(lane) for lane in lanes])
        return self.builder.shuffle_vector(a, b, wanted)

    def spread(self, number):
        """Return a vector that has the number in every lane."""
        first = self.builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, INT32(0))
        return self.gather(first, first, [0] * LANES)

    def add(self, a, b):
        return self.builder.fadd(a, b, flags=LOOSE)

    def fma(self, a, b, c):
        return self.add(self.builder.fmul(a, b, flags=LOOSE), c)

    def accumulate(self, slot, a, b):
        self.builder.store(self.fma(a, b, self.builder.load(slot)), slot)

    def larger(self, a, b):
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def smaller(self, a, b):
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def polynomial(self, series, x):
        coefficients = series.convert(kind=np.polynomial.Polynomial).coef
        total = self.constant(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            total = self.fma(total, x, self.constant(coefficient))
        return total

    def steps(self, start, stop, step=1):
        return cgutils.for_range_slice(
            self.builder, self.whole(start), self.whole(stop), self.whole(step), ir.IntType(64), inc=True
        )

    def lane_sums(self, vectors):
        """Return one vector whose lane l is the sum of the l-th vector's lanes: 15 additions for 16 vectors."""
        half = len(vectors) // 2
        while half:
            merged = []
            for u, v in zip(vectors[:half], vectors[half:], strict=True):
                stay = [LANES + lane if lane & half else lane for lane in range(LANES)]
                move = [LANES + lane - half if lane & half else lane + half for lane in range(LANES)]
                merged.append(self.add(self.gather(u, v, stay), self.gather(u, v, move)))
            vectors, half = merged, half // 2
        return vectors[0]


@intrinsic
def copy_row(typingctx, target, t, source, s):
    """Copy row `s` of `source` over row `t` of `target`."""

    def write(context, builder, signature, args):
        code = Code(context, builder, signature, args)
        to, start = code.matrix(0), code.matrix(2)
        to_row, from_row = code.at(to, args[1]), code.at(start, args[3])
        with code.steps(0, to[1], LANES) as (z, _):
            code.store(code.load(code.beyond(from_row, z)), code.beyond(to_row, z))
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), write


@intrinsic
def mix_rows(typingctx, target, t, a, x, p, b, y, q):
    """Set a row: target[t] = p a[x] + q b[y]."""

    def write(context, builder, signature, args):
        code = Code(context, builder, signature, args)
        to, row, other = code.matrix(0), code.matrix(2), code.matrix(5)
        to_row, a_row, b_row = code.at(to, args[1]), code.at(row, args[3]), code.at(other, args[6])
        ps, qs = code.spread(args[4]), code.spread(args[7])
        with code.steps(0, to[1], LANES) as (z, _):
            part = builder.fmul(qs, code.load(code.beyond(b_row, z)), flags=LOOSE)
            code.store(code.fma(ps, code.load(code.beyond(a_row, z)), part), code.beyond(to_row, z))
        return context.get_dummy_value()

    n, number = types.intp, types.float32
    return types.void(target, n, a, n, number, b, n, number), write


@intrinsic
def dot_rows(typingctx, A, x, B, y):
    """Return A[x] . B[y]."""

    def write(context, builder, signature, args):
        code = Code(context, builder, signature, args)
        left, right = code.matrix(0), code.matrix(2)
        starts, total = (code.at(left, args[1]), code.at(right, args[3])), code.slot()
        with code.steps(0, left[1], LANES) as (z, _):
            code.accumulate(total, *(code.load(code.beyond(start, z)) for start in starts))
        kind = ir.FunctionType(FLOAT, [FLOAT, VECTOR])
        add_up = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
        return builder.call(add_up, [FLOAT(0.0), builder.load(total)], fastmath=("reassoc",))

    return types.float32(A, types.intp, B, types.intp), write


@intrinsic
def prefetch_row(typingctx, matrix, row):
    """Begin to bring a row into the cache; it is needed soon."""

    def write(context, builder, signature, args):
        code = Code(context, builder, signature, args)
        table = code.matrix(0)
        start, byte = code.at(table, args[1]), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        with code.steps(0, table[1], 16) as (z, _):
            address = builder.bitcast(code.beyond(start, z), byte)
            builder.call(fetch, [address, INT32(0), INT32(2), INT32(1)])  # to read; into the second level; data
        return context.get_dummy_value()

    return types.void(matrix, types.intp), write


@intrinsic
def dot_tile(typingctx, A, x, B, y, F):
    """Set F[x + r, y + s] = A[x + r] . B[y + s] for two rows r and `COLUMNS` columns s."""

    def write(context, builder, signature, args):
        code = Code(context, builder, signature, args)
        a, b, f = code.matrix(0), code.matrix(2), code.matrix(4)
        a_rows = [code.at(a, code.plus(args[1], r)) for r in range(2)]
        b_rows = [code.at(b, code.plus(args[3], s)) for s in range(COLUMNS)]
        sums = [[code.slot() for _ in b_rows] for _ in a_rows]
        with code.steps(0, a[1], LANES) as (z, _):
            b_parts = [code.load(code.beyond(row, z)) for row in b_rows]
            for a_row, row_sums in zip(a_rows, sums, strict=True):
                a_part = code.load(code.beyond(a_row, z))
                for b_part, total in zip(b_parts, row_sums, strict=True):
                    code.accumulate(total, a_part, b_part)
        both = code.lane_sums([builder.load(total) for row_sums in sums for total in row_sums])
        for r in range(2):
            half = code.gather(both, both, range(r * COLUMNS, (r + 1) * COLUMNS))
            code.store(half, code.at(f, code.plus(args[1], r), args[3]))
        return context.get_dummy_value()

    return types.void(A, types.intp, B, types.intp, F), write


def _add_sums(code, height, transposed):
    """Write the code of `add_sums_6` and its like: vectors of sums stay in registers while the terms go by."""
    g, b, out = code.matrix(0), code.matrix(2), code.matrix(7)
    x, rows = code.args[1], code.vector(8)
    ranges = ((code.args[3], code.args[4]), (code.args[5], code.args[6]))
    targets = [code.at(out, code.builder.load(code.beyond(rows, code.plus(x, r)))) for r in range(height)]
    g_rows = None if transposed else [code.at(g, code.plus(x, r)) for r in range(height)]

    def stripe(z, n_vectors):
        sums = [[code.slot() for _ in range(n_vectors)] for _ in range(height)]
        for start, stop in ranges:
            with code.steps(start, stop) as (k, _):
                b_row, g_row = code.at(b, k, z), code.at(g, k, x)
                parts = [code.load(code.beyond(b_row, LANES * v)) for v in range(n_vectors)]
                for r in range(height):
                    factor = code.beyond(g_row, r) if transposed else code.beyond(g_rows[r], k)
                    factors = code.spread(code.builder.load(factor))
                    for part, total in zip(parts, sums[r], strict=True):
                        code.accumulate(total, factors, part)
        for target, row_sums in zip(targets, sums, strict=True):  # in turn, for two rows may have one target
            for v, total in enumerate(row_sums):
                place = code.beyond(target, code.plus(z, LANES * v))
                code.store(code.add(code.load(place), code.builder.load(total)), place)

    pairs = code.builder.and_(b[1], code.whole(-2 * LANES))
    with code.steps(0, pairs, 2 * LANES) as (z, _):
        stripe(z, 2)
    with code.steps(pairs, b[1], LANES) as (z, _):
        stripe(z, 1)


def _adder(height, transposed=False):
    @intrinsic
    def add_sums(typingctx, G, x, B, start, stop, again, end, out, rows):
        def write(context, builder, signature, args):
            _add_sums(Code(context, builder, signature, args), height, transposed)
            return context.get_dummy_value()

        n = types.intp
        return types.void(G, n, B, n, n, n, n, out, rows), write

    return add_sums


# add_sums(G, x, B, start, stop, again, end, out, rows): out[rows[x + r]] += sum over k of G[x + r, k] B[k] for 6, 4 or
# 2 rows r, with k in start..stop and in again..end; rows is int64. Transposed: G[k, x + r] for `COLUMNS`, or 4, rows r.
add_sums_6, add_sums_4, add_sums_2 = _adder(6), _adder(4), _adder(2)
add_sums_transposed, add_sums_transposed_4 = _adder(COLUMNS, transposed=True), _adder(4, transposed=True)


@intrinsic
def gradient_tile(typingctx, F, weights, signs, n, alpha, losses):
    """Turn n rows of dot products into steps: F[x, y] = -alpha s w sigma(s f), with s = signs[y], w = weights[x, y].

    That is -alpha times the derivative of w softplus(s f) by f; s is -1 where a token is the true one, and 1 where it
    is noise. The sum of w softplus(s f) comes back in `losses`, a part in each of `LANES` elements; it grows with f
    without a bound. The exponential is a polynomial's 16th power, right to 2e-6, and stays at 1e-7 for |f| beyond 16.
    """

    def write(context, builder, signature, args):
        code = Code(context, builder, signature, args)
        f, weights_, signs_ = code.matrix(0), code.matrix(1), code.vector(2)
        alphas, one, most = code.spread(args[4]), code.constant(1), code.constant(1e30)
        zero, total = code.constant(0), code.slot()
        with code.steps(0, args[3]) as (x, _), code.steps(0, f[1], LANES) as (y, _):
            place, sign = code.at(f, x, y), code.load(code.beyond(signs_, y))
            weight = code.load(code.at(weights_, x, y))
            signed = code.smaller(builder.fmul(sign, code.load(place)), most)
            size = code.larger(signed, builder.fsub(zero, signed))
            power = code.polynomial(EXPONENTIAL, code.smaller(builder.fmul(size, code.constant(1 / 16)), one))
            for _ in range(4):
                power = builder.fmul(power, power)
            logarithm = builder.fmul(power, code.polynomial(LOGARITHM, power))
            code.accumulate(total, weight, code.add(logarithm, code.larger(signed, zero)))
            above = builder.select(builder.fcmp_ordered(">", signed, zero), one, power)
            sigma = builder.fdiv(above, code.add(power, one))
            step = builder.fmul(builder.fmul(weight, sigma), builder.fmul(sign, builder.fsub(zero, alphas)))
            code.store(step, place)
        code.store(builder.load(total), code.vector(5))
        return context.get_dummy_value()

    return types.void(F, weights, signs, types.intp, types.float32, losses), write
