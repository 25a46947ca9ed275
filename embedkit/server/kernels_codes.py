"""The numba kernel that ranks by bytes first: most candidates are ruled out by a bound that is a quarter of the work.

With AVX-512 and its instructions for sums of products of bytes (VNNI), that is; else `kernels.best_of_all` does it all.
"""

from __future__ import annotations

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from embedkit.compiled import kernel
from embedkit.scoring.kernels import _replace_worst
from embedkit.server.kernels import LANES, _holds

_FEATURES = llvmlite.binding.get_host_cpu_features()
AVAILABLE = LANES == 16 and bool(_FEATURES.get("avx512vnni"))
"""Whether this machine can do it."""

_WHOLE, _INT32 = ir.IntType(64), ir.IntType(32)
_SUMS, _FLOATS = ir.VectorType(_INT32, 16), ir.VectorType(ir.FloatType(), 16)
_TILE = 8  # candidates at a time, so that with 32 questions 16 registers hold sums


def _sum_tile(items, groups):  # type: ignore[no-untyped-def]
    """Return an intrinsic that sums products of codes for some candidates and vectors of queries, in registers."""

    def tile(typingctx, codes, first, queries, sums):  # type: ignore[no-untyped-def]
        def write(context, builder, signature, args):  # type: ignore[no-untyped-def]
            arrays = {i: make_array(signature.args[i])(context, builder, args[i]) for i in (0, 2, 3)}
            size = cgutils.unpack_tuple(builder, arrays[0].shape)[1]
            words = {i: builder.bitcast(array.data, _INT32.as_pointer()) for i, array in arrays.items()}
            fours = builder.udiv(size, _WHOLE(4))
            rows = [
                builder.gep(words[0], [builder.mul(builder.add(args[1], _WHOLE(item)), fours)]) for item in range(items)
            ]
            slots = [[cgutils.alloca_once(builder, _SUMS) for _ in range(groups)] for _ in range(items)]
            for slot in (slot for row in slots for slot in row):
                builder.store(ir.Constant(_SUMS, [0] * 16), slot)
            kind = ir.FunctionType(_SUMS, [_SUMS] * 3)
            add_products = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpdpbusd.512")
            zeros = ir.Constant(_SUMS, [0] * 16)
            with cgutils.for_range(builder, fours, intp=_WHOLE) as loop:
                at = builder.mul(loop.index, _WHOLE(groups * 16))
                asked = [
                    _load(builder, words[2], builder.add(at, _WHOLE(group * 16)), _SUMS) for group in range(groups)
                ]
                for row, line in zip(rows, slots, strict=True):
                    code = builder.load(builder.gep(row, [loop.index]), align=4)
                    spread = builder.insert_element(ir.Constant(_SUMS, ir.Undefined), code, _INT32(0))
                    spread = builder.shuffle_vector(spread, spread, zeros)
                    for slot, query in zip(line, asked, strict=True):
                        builder.store(builder.call(add_products, [builder.load(slot), query, spread]), slot)
            for item, line in enumerate(slots):
                for group, slot in enumerate(line):
                    place = builder.gep(words[3], [_WHOLE((item * groups + group) * 16)])
                    builder.store(builder.load(slot), builder.bitcast(place, _SUMS.as_pointer()), align=4)
            return context.get_dummy_value()

        return types.void(codes, types.intp, queries, sums), write

    return intrinsic(tile)


def _load(builder, pointer, offset, kind):  # type: ignore[no-untyped-def]
    return builder.load(builder.bitcast(builder.gep(pointer, [offset]), kind.as_pointer()), align=4)


@intrinsic
def _above(typingctx, sums, part, about, candidate, lanes, group, bars):  # type: ignore[no-untyped-def]
    """Return a bit for each of 16 lanes: whether the most that the candidate's score can be is above the lane's bar."""

    def write(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = {i: make_array(signature.args[i])(context, builder, args[i]) for i in (0, 2, 4, 6)}
        width = cgutils.unpack_tuple(builder, data[4].shape)[1]
        column = builder.mul(args[5], _WHOLE(16))

        def spread(place):
            offset = builder.add(builder.mul(args[3], _WHOLE(4)), _WHOLE(place))
            number = builder.load(builder.gep(data[2].data, [offset]))
            one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), number, _INT32(0))
            return builder.shuffle_vector(one, one, ir.Constant(_SUMS, [0] * 16))

        def lane(row):
            return _load(builder, data[4].data, builder.add(builder.mul(width, _WHOLE(row)), column), _FLOATS)

        total = builder.sitofp(_load(builder, data[0].data, builder.mul(args[1], _WHOLE(16)), _SUMS), _FLOATS)
        score = builder.fmul(builder.fmul(builder.fsub(total, spread(0)), spread(1)), lane(0))
        beyond = builder.fadd(builder.fmul(spread(2), lane(1)), builder.fmul(spread(3), lane(2)))
        most = builder.fadd(score, beyond)
        bits = builder.bitcast(
            builder.fcmp_unordered(">", most, _load(builder, data[6].data, column, _FLOATS)), ir.IntType(16)
        )
        return builder.zext(bits, _WHOLE)

    return types.uint64(sums, types.intp, about, types.intp, lanes, types.intp, bars), write


_tile_of_one, _tile_of_two = _sum_tile(_TILE, 1), _sum_tile(_TILE, 2)
_rest_of_one, _rest_of_two = _sum_tile(1, 1), _sum_tile(1, 2)


@kernel
def best_by_codes(  # type: ignore[no-untyped-def]
    codes, about, vectors, scale, asked, lanes, queries, indptr, indices, best_ids, best_scores
):
    """Rank all candidates for up to 32 queries; the same answers as `best_of_all` gives, to rounding.

    A candidate's score is at most what its codes tell, plus a bound on what they leave out. Where that is above the
    worst score that is kept, the score itself is worked out.

    Parameters
    ----------
    codes
        int8 (n × a multiple of 4).
    about
        float32 (n × 4): of each candidate 128 · the sum of its codes, what a code is worth, and by what a query's
        length and a query's error are multiplied in the bound.
    vectors, scale
        float32 (n × d) and float32 (n) or of length 0, as for `best_of_all`.
    asked
        uint8 (size of codes / 4 × 16 or 32 × 4): the queries' codes plus 128, four of each query side by side.
    lanes
        float32 (3 × 16 or 32): of each query what a code is worth, its length and its error.
    queries
        float32 (rows × d).
    indptr, indices, best_ids, best_scores
        As for `best_of_all`.

    Returns
    -------
    int
        How many scores were worked out.
    """
    rows, n, groups = queries.shape[0], codes.shape[0], lanes.shape[1] // 16
    bars = np.full(groups * 16, np.inf, np.float32)
    bars[:rows] = -np.inf
    sums = np.empty(_TILE * groups * 16, np.int32)
    worked_out, first = 0, 0
    while first < n:
        width = _TILE if first + _TILE <= n else 1
        if width == 1 and groups == 1:
            _rest_of_one(codes, first, asked, sums)
        elif width == 1:
            _rest_of_two(codes, first, asked, sums)
        elif groups == 1:
            _tile_of_one(codes, first, asked, sums)
        else:
            _tile_of_two(codes, first, asked, sums)
        for part in range(width * groups):
            group, candidate = part % groups, first + part // groups
            found = _above(sums, part, about, candidate, lanes, group, bars)
            row = group * 16
            while found != 0:
                if found & np.uint64(1):
                    score = np.float32(0)
                    for column in range(vectors.shape[1]):
                        score += vectors[candidate, column] * queries[row, column]
                    if scale.shape[0] > 0:
                        score *= scale[candidate]
                    worked_out += 1
                    if score > bars[row] and not _holds(indices, indptr[row], indptr[row + 1], candidate):
                        _replace_worst(best_scores[row], best_ids[row], score, np.int32(candidate))
                        bars[row] = best_scores[row, 0]
                found >>= np.uint64(1)
                row += 1
        first += width
    return worked_out
