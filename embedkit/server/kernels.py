"""The numba kernels of the server: one pass over all candidates for many questions, and search in names."""

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

LANES = 16 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 8
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_LOOSE = ("contract", "nsz")


def _score_tile(items, groups):  # type: ignore[no-untyped-def]
    """Return an intrinsic that scores `items` candidates for `groups` vectors of queries, all sums in registers."""

    def tile(typingctx, vectors, first, queries, scores):  # type: ignore[no-untyped-def]
        def write(context, builder, signature, args):  # type: ignore[no-untyped-def]
            data, shape = [], []
            for place in (0, 2, 3):
                array = make_array(signature.args[place])(context, builder, args[place])
                data.append(array.data)
                shape.append(cgutils.unpack_tuple(builder, array.shape))
            whole = ir.IntType(64)
            size = shape[0][1]

            def vector_at(pointer, offset):
                return builder.bitcast(builder.gep(pointer, [offset]), _VECTOR.as_pointer())

            rows = [
                builder.gep(data[0], [builder.mul(builder.add(args[1], whole(item)), size)]) for item in range(items)
            ]
            sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in range(groups)] for _ in range(items)]
            for slot in (slot for row in sums for slot in row):
                builder.store(ir.Constant(_VECTOR, [0.0] * LANES), slot)
            with cgutils.for_range(builder, size, intp=whole) as loop:
                at = builder.mul(loop.index, whole(groups * LANES))
                asked = [
                    builder.load(vector_at(data[1], builder.add(at, whole(group * LANES))), align=4)
                    for group in range(groups)
                ]
                for row, slots in zip(rows, sums, strict=True):
                    number = builder.load(builder.gep(row, [loop.index]))
                    spread = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.IntType(32)(0))
                    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
                    spread = builder.shuffle_vector(spread, spread, zeros)
                    for slot, query in zip(slots, asked, strict=True):
                        product = builder.fmul(spread, query, flags=_LOOSE)
                        builder.store(builder.fadd(product, builder.load(slot), flags=_LOOSE), slot)
            for item, slots in enumerate(sums):
                for group, slot in enumerate(slots):
                    place = vector_at(data[2], whole((item * groups + group) * LANES))
                    builder.store(builder.load(slot), place, align=4)
            return context.get_dummy_value()

        return types.void(vectors, types.intp, queries, scores), write

    return intrinsic(tile)


@intrinsic
def _any_above(typingctx, scores, row, bars):  # type: ignore[no-untyped-def]
    """Return whether any of a row's `LANES` scores is above its bar, or is no number."""

    def write(context, builder, signature, args):  # type: ignore[no-untyped-def]
        pointers = [make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 2)]
        pointers[0] = builder.gep(pointers[0], [builder.mul(args[1], ir.IntType(64)(LANES))])
        pair = [builder.load(builder.bitcast(p, _VECTOR.as_pointer()), align=4) for p in pointers]
        above = builder.fcmp_unordered(">", *pair)
        bits = builder.bitcast(above, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.IntType(LANES)(0))

    return types.boolean(scores, types.intp, bars), write


_ITEMS = 6 if LANES == 16 else 4
_tile_of_one, _tile_of_two = _score_tile(_ITEMS, 1), _score_tile(_ITEMS, 2)


@kernel
def _holds(ids, begin, end, wanted):  # type: ignore[no-untyped-def]
    """Return whether an ascending stretch of ids holds one."""
    stop = end
    while begin < end:
        middle = (begin + end) // 2
        if ids[middle] < wanted:
            begin = middle + 1
        else:
            end = middle
    return begin < stop and ids[begin] == wanted


@kernel
def best_of_all(queries, vectors, scale, indptr, indices, best_ids, best_scores):  # type: ignore[no-untyped-def]
    """Rank all candidates for up to 2 · `LANES` queries, in one call, so that the interpreter is left alone meanwhile.

    A candidate's vector is read once and used for all queries, which lie side by side in the lanes of registers. Most
    scores are below the worst that is kept, which one comparison tells for all lanes.

    Parameters
    ----------
    queries
        float32 (d × `LANES` or 2 · `LANES`), a query a column.
    vectors
        float32 (n × d).
    scale
        float32 (n), what each candidate's dot products are multiplied with; or of length 0.
    indptr, indices
        Compressed rows of the ids that are left out, a row a query, each ascending.
    best_ids, best_scores
        int32 and float32 (rows × k): heaps whose root is the worst kept, filled with -1 and -inf at first. There may be
        fewer rows than `queries` has columns.

    Returns
    -------
    int
        The first row in which a score is not finite, or -1.
    """
    rows, n, groups = best_ids.shape[0], vectors.shape[0], queries.shape[1] // LANES
    bars = np.full(groups * LANES, np.inf, np.float32)
    bars[:rows] = -np.inf
    scores = np.empty(_ITEMS * groups * LANES, np.float32)
    last = n // _ITEMS * _ITEMS
    for first in range(0, n, _ITEMS):
        width = _ITEMS
        if first >= last:
            width = n - last
            _score_rest(vectors, first, queries, scores)
        elif groups == 1:
            _tile_of_one(vectors, first, queries, scores)
        else:
            _tile_of_two(vectors, first, queries, scores)
        if scale.shape[0] > 0:
            for item in range(width):
                factor = scale[first + item]
                for lane in range(item * groups * LANES, (item + 1) * groups * LANES):
                    scores[lane] *= factor
        for part in range(width * groups):
            group = part % groups
            if not _any_above(scores, part, bars[group * LANES : (group + 1) * LANES]):
                continue
            candidate = np.int32(first + part // groups)
            for lane in range(LANES):
                row, score = group * LANES + lane, scores[part * LANES + lane]
                if score <= bars[row] or row >= rows:
                    continue
                if not np.isfinite(score):
                    return row
                if not _holds(indices, indptr[row], indptr[row + 1], candidate):
                    _replace_worst(best_scores[row], best_ids[row], score, candidate)
                    bars[row] = best_scores[row, 0]
    return -1


@kernel
def _score_rest(vectors, first, queries, scores):  # type: ignore[no-untyped-def]
    """Score the last candidates, which fill no tile."""
    width = queries.shape[1]
    for candidate in range(first, vectors.shape[0]):
        for query in range(width):
            total = np.float32(0)
            for column in range(vectors.shape[1]):
                total += vectors[candidate, column] * queries[column, query]
            scores[(candidate - first) * width + query] = total


@intrinsic
def _candidates(typingctx, text, at, beyond, first, last):  # type: ignore[no-untyped-def]
    """Return a bit for each of 64 places from `at` on: whether `first` stands there, and `last` `beyond` bytes on."""

    def write(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = make_array(signature.args[0])(context, builder, args[0]).data
        bytes_ = ir.VectorType(ir.IntType(8), 64)
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)
        same = []
        for start, wanted in ((args[1], args[3]), (builder.add(args[1], args[2]), args[4])):
            read = builder.load(builder.bitcast(builder.gep(data, [start]), bytes_.as_pointer()), align=1)
            spread = builder.insert_element(ir.Constant(bytes_, ir.Undefined), wanted, ir.IntType(32)(0))
            same.append(builder.icmp_unsigned("==", read, builder.shuffle_vector(spread, spread, zeros)))
        return builder.bitcast(builder.and_(*same), ir.IntType(64))

    return types.uint64(text, types.intp, types.intp, types.uint8, types.uint8), write


@kernel(inline="always")
def _matches(text, begin, needle):  # type: ignore[no-untyped-def]
    """Return whether `needle` stands at `begin`; there must be room for it."""
    for i in range(needle.shape[0]):
        if text[begin + i] != needle[i]:
            return False
    return True


@kernel
def search_names(text, offsets, needle, starts, inner):  # type: ignore[no-untyped-def]
    """Find names that begin with a needle, and names that hold it elsewhere, in their order.

    Parameters
    ----------
    text, offsets
        uint8 and uint32 or int64: name i is `text[offsets[i]:offsets[i + 1]]`, one text or more that each end with 255.
    needle
        uint8 (at least 1), without 255.
    starts, inner
        int32, for the names found; both are filled as far as they reach.

    Returns
    -------
    tuple of int
        How many names stand in `starts` and in `inner`. The search ends when `starts` is full.
    """
    n_starts, n_inner, name, last_inner = 0, 0, 0, -1
    length = needle.shape[0]
    first, last = needle[0], needle[length - 1]
    end = text.shape[0] - length + 1
    begin = 0
    while begin < end:
        if begin + 64 + length <= text.shape[0]:
            found, width = _candidates(text, begin, length - 1, first, last), 64
        else:
            found, width = np.uint64(1), 1
        at = begin
        while found != 0:
            if found & np.uint64(1) and _matches(text, at, needle):
                low, high = name, offsets.shape[0] - 1
                while high - low > 1:
                    middle = (low + high) // 2
                    if offsets[middle] <= at:
                        low = middle
                    else:
                        high = middle
                name = low
                if at == 0 or text[at - 1] == 255:
                    if last_inner == name:
                        n_inner -= 1
                        last_inner = -1
                    if n_starts == 0 or starts[n_starts - 1] != name:
                        starts[n_starts] = name
                        n_starts += 1
                        if n_starts == starts.shape[0]:
                            return n_starts, n_inner
                elif (
                    last_inner != name and n_inner < inner.shape[0] and (n_starts == 0 or starts[n_starts - 1] != name)
                ):
                    inner[n_inner] = name
                    n_inner += 1
                    last_inner = name
            found >>= np.uint64(1)
            at += 1
        begin += width
    return n_starts, n_inner
