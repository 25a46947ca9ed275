"""Splits UTF-8 into tokens: free functions over arrays, compiled by numba when first called."""

import numpy as np
from numba import njit

WORD, CONTINUES, BREAK, IRREGULAR = 1, 2, 4, 8
"""Bits of a code point's class: stands in tokens and may begin one; stands in one but begins none; ends a
sentence; is normalised or lower-cased in a way that needs its surroundings or more bytes."""


@njit(inline="always", nogil=True, cache=True, error_model="numpy")
def _decode(data, i):
    """Return the code point that begins at the non-ASCII byte i, and its length in bytes."""
    lead = np.int64(data[i])
    code = np.int64(data[i + 1] & 0x3F)
    if lead < 0xE0:
        return ((lead & 0x1F) << 6) | code, 2
    code = (code << 6) | np.int64(data[i + 2] & 0x3F)
    if lead < 0xF0:
        return ((lead & 0x0F) << 12) | code, 3
    code = (code << 6) | np.int64(data[i + 3] & 0x3F)
    return ((lead & 0x07) << 18) | code, 4


@njit(inline="always", nogil=True, cache=True, error_model="numpy")
def _encode(code, chars, o):
    """Write a code point as UTF-8 at position o and return the position behind it."""
    if code < 0x80:
        chars[o] = code
        return o + 1
    if code < 0x800:
        chars[o] = 0xC0 | (code >> 6)
        chars[o + 1] = 0x80 | (code & 0x3F)
        return o + 2
    if code < 0x10000:
        chars[o] = 0xE0 | (code >> 12)
        chars[o + 1] = 0x80 | ((code >> 6) & 0x3F)
        chars[o + 2] = 0x80 | (code & 0x3F)
        return o + 3
    chars[o] = 0xF0 | (code >> 18)
    chars[o + 1] = 0x80 | ((code >> 12) & 0x3F)
    chars[o + 2] = 0x80 | ((code >> 6) & 0x3F)
    chars[o + 3] = 0x80 | (code & 0x3F)
    return o + 4


@njit(inline="always", nogil=True, cache=True, error_model="numpy")
def _well_formed(data, i):
    """Tell whether a shortest-form sequence of two to four bytes, and no code point too high, begins at i."""
    lead = data[i]
    size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if lead < 0xC2 or lead > 0xF4 or i + size > len(data):
        return False
    for k in range(i + 1, i + size):
        if data[k] & 0xC0 != 0x80:
            return False
    code, _ = _decode(data, i)
    return code <= 0x10FFFF and (size == 2 or (size == 3 and code >= 0x800) or (size == 4 and code >= 0x10000))


@njit(nogil=True, cache=True, error_model="numpy")
def first_irregular(data, start, pages, classes):
    """Return where the first irregular or ill-formed character at or after `start` lies, or `len(data)`.

    Parameters
    ----------
    data
        uint8, what should be UTF-8; `start` is where a character begins.
    pages, classes
        As those of `Tables`.
    """
    i, n = start, len(data)
    while i < n:
        if data[i] < 0x80:
            i += 1
            continue
        if not _well_formed(data, i):
            return i
        code, size = _decode(data, i)
        if classes[pages[code >> 8] + (code & 0xFF)] & IRREGULAR:
            return i
        i += size
    return n


@njit(nogil=True, cache=True, error_model="numpy")
def split(data, pages, classes, lower, chars, offsets, ends, places):
    """Write the tokens of a block end to end.

    Parameters
    ----------
    data
        uint8, well-formed UTF-8 that neither begins nor ends within a token.
    pages, classes, lower
        As those of `Tables`; what is written for a code point is never longer in UTF-8.
    chars
        uint8 (len(data)), receives the tokens' bytes.
    offsets
        int64 (len(data) // 2 + 3), receives where each token begins in `chars`, and where the last one ends.
    ends
        int64 (len(data) // 2 + 2), receives for each sentence that ends in this block how many tokens came before.
    places
        int64 (len(data) // 2 + 2), receives for each of them the position of the byte that ends it.

    Returns
    -------
    tuple
        The numbers of tokens, of sentence ends, of bytes, and whether a sentence ended before the first token.
    """
    i, n = 0, len(data)
    tokens = o = last_end = inside = np.int64(0)
    sentences = 0
    break_first = False
    offsets[0] = 0
    while i < n:
        byte = data[i]
        if byte < 0x80:
            # No branch on what the byte is: where words end cannot be foreseen, and each miss costs a dozen bytes.
            kind = classes[byte]
            word = np.int64(kind & WORD)
            chars[o] = byte + lower[byte]
            o += word
            i += 1
        else:
            code, size = _decode(data, i)
            at = pages[code >> 8] + (code & 0xFF)
            kind = classes[at]
            word = np.int64(kind & WORD) | (np.int64(kind >> 1) & inside)
            if word:
                if lower[at] == 0:
                    for k in range(size):
                        chars[o + k] = data[i + k]
                    o += size
                else:
                    o = _encode(code + lower[at], chars, o)
            i += size
        offsets[tokens + 1] = o
        tokens += inside & (1 - word)
        inside = word
        if kind & BREAK:
            if tokens > last_end:
                ends[sentences] = tokens
                places[sentences] = i - 1
                sentences += 1
                last_end = tokens
            elif tokens == 0:
                break_first = True
    tokens += inside
    return tokens, sentences, o, break_first
