"""Counting what occurs near what: each token's row of counts, summed in whole numbers so that no order matters."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from embedkit.compiled import kernel


@intrinsic
def _lowest_bit(typingctx, bits):
    """Return the position of the lowest bit that is set (int64); undefined where none is."""

    def write(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), write


@kernel
def list_places(ids, first, last, offsets, sentence, free, places, sentences):
    """Sort the positions first..last of a corpus by their tokens (a counting sort).

    Parameters
    ----------
    ids, offsets : int32, int64
        The corpus: sentence s is `ids[offsets[s]:offsets[s + 1]]`.
    sentence : int
        The sentence of position `first`.
    free : int64 (n_tokens)
        Where each token's first place goes; moves on as they are filled.
    places, sentences : int32 (last - first)
        Receive positions less `first`, and their sentences less `sentence`, by token and then by position.
    """
    own = sentence
    for position in range(first, last):
        while offsets[own + 1] <= position:
            own += 1
        slot = free[ids[position]]
        places[slot] = position - first
        sentences[slot] = own - sentence
        free[ids[position]] = slot + 1


@kernel(inline="always")
def _add(token, amount, sums, marks, blocks):
    """Add to a token's sum and mark it: a bit for the token, a bit for each 64 of these bits."""
    sums[token] += amount
    word = token >> 6
    marks[word] |= np.uint64(1) << np.uint64(token & 63)
    blocks[word >> 6] |= np.uint64(1) << np.uint64(word & 63)


@kernel
def _take(sums, marks, blocks, unit, at, indices, values):
    """Write out all sums in order of their tokens, from place `at` on, and clear them; return the place behind."""
    for block in range(blocks.shape[0]):
        words = blocks[block]
        blocks[block] = 0
        while words != 0:
            word = (block << 6) + _lowest_bit(words)
            words &= words - np.uint64(1)
            bits = marks[word]
            marks[word] = 0
            while bits != 0:
                token = (word << 6) + _lowest_bit(bits)
                bits &= bits - np.uint64(1)
                indices[at] = token
                values[at] = sums[token] * unit
                sums[token] = 0
                at += 1
    return at


@kernel
def count_rows(
    ids, offsets, first, sentence, starts, places, sentences, begin, end, window, amounts, sums, marks, blocks, unit,
    lengths, indices, values,
):  # fmt: skip
    """Count what occurs around tokens begin..end, at the places that `list_places` found.

    Parameters
    ----------
    starts : int64 (n_tokens + 1)
        Token t's places are `places[starts[t]:starts[t + 1]]`.
    window : int
        How far to look on each side, within the sentence.
    amounts : int64
        What a neighbour at each distance counts; beyond the last distance the last amount holds.
    sums : int64 (n_tokens), marks : uint64 (n_tokens / 64), blocks : uint64 (n_tokens / 4096)
        Room to work in, all 0 before and after.
    unit : float
        Sums are multiplied by it when they are written.
    lengths : int64 (end - begin)
        Receives how many different tokens each row has.
    indices, values
        int32, and int64 or float32: receive the rows end to end, each in order of the tokens.

    Returns
    -------
    int
        How many entries were written.
    """
    at, far = 0, amounts.shape[0] - 1
    for token in range(begin, end):
        for place in range(starts[token], starts[token + 1]):
            position, own = first + places[place], sentence + sentences[place]
            for other in range(max(offsets[own], position - window), position):
                _add(ids[other], amounts[min(position - other, far)], sums, marks, blocks)
            for other in range(position + 1, min(offsets[own + 1], position + window + 1)):
                _add(ids[other], amounts[min(other - position, far)], sums, marks, blocks)
        before = at
        at = _take(sums, marks, blocks, unit, at, indices, values)
        lengths[token - begin] = at - before
    return at


@kernel
def merge_rows(indptr, indices, values, begin, end, sums, marks, blocks, unit, lengths, out_indices, out_values):
    """Add up rows begin..end of several runs; what is not named here is as in `count_rows`.

    Parameters
    ----------
    indptr : int64 (n_runs × (n_tokens + 1))
        Row t of run r is at indptr[r, t]..indptr[r, t + 1] of `indices` and `values`.
    indices, values : int32, int64
        The runs, end to end.
    """
    at = 0
    for token in range(begin, end):
        for run in range(indptr.shape[0]):
            for entry in range(indptr[run, token], indptr[run, token + 1]):
                _add(indices[entry], values[entry], sums, marks, blocks)
        before = at
        at = _take(sums, marks, blocks, unit, at, out_indices, out_values)
        lengths[token - begin] = at - before
    return at
