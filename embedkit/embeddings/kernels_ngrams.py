"""The buckets of all character n-grams of many words, over the bytes of their names.

As in `ngrams`, which has it once more for a few words and says what is computed.
"""

import numpy as np

from embedkit.compiled import kernel

u32 = np.uint32
OPENING, CLOSING = 0x3C, 0x3E  # < and >
SYLLABLES, N_SYLLABLES, VOWELS, FINALS = 0xAC00, 11172, 21, 28


@kernel
def put(text, n, code):
    """Write a code point of three bytes as UTF-8."""
    text[n] = 0xE0 | code >> 12
    text[n + 1] = 0x80 | code >> 6 & 0x3F
    text[n + 2] = 0x80 | code & 0x3F
    return n + 3


@kernel
def bracket(utf8, start, stop, jamo, text):
    """Write a word between < and > into `text`, with Hangul syllables as their letters if `jamo`; return its length.

    The letters of a syllable follow from its number: The Unicode Standard, section 3.12.
    """
    text[0] = OPENING
    n, i = 1, start
    while i < stop:
        code = 0
        if jamo and utf8[i] & 0xF0 == 0xE0 and i + 2 < stop:
            code = (utf8[i] & 0xF) << 12 | (utf8[i + 1] & 0x3F) << 6 | utf8[i + 2] & 0x3F
        syllable = code - SYLLABLES
        if 0 <= syllable < N_SYLLABLES:
            n = put(text, n, 0x1100 + syllable // (VOWELS * FINALS))
            n = put(text, n, 0x1161 + syllable // FINALS % VOWELS)
            if syllable % FINALS:
                n = put(text, n, 0x11A7 + syllable % FINALS)
            i += 3
        else:
            text[n] = utf8[i]
            n += 1
            i += 1
    text[n] = CLOSING
    return n + 1


@kernel
def hash_ngrams(text, length, min_n, max_n, n_buckets, out, at):
    """Put the buckets of a bracketed word's n-grams into `out` (unless it is empty) from `at` on; return the end."""
    for i in range(length):
        if text[i] & 0xC0 == 0x80:
            continue
        hashed, j, n = u32(2166136261), i, 0
        while j < length and n < max_n:
            while True:
                byte = u32(text[j])
                if byte >= 128:
                    byte |= u32(0xFFFFFF00)
                hashed = u32(u32(hashed ^ byte) * u32(16777619))
                j += 1
                if j >= length or text[j] & 0xC0 != 0x80:
                    break
            n += 1
            if n >= min_n and not (n == 1 and (i == 0 or j == length)):
                if out.shape[0] > 0:
                    out[at] = hashed % u32(n_buckets)
                at += 1
    return at


@kernel
def list_ngrams(utf8, offsets, min_n, max_n, n_buckets, jamo, indptr, out):
    """Fill compressed rows of the words' buckets; with an empty `out` `indptr` alone, to know how much room they need.

    Parameters
    ----------
    utf8, offsets : uint8, int64 (n + 1)
        The words, as in `Names`.
    min_n, max_n, n_buckets, jamo : int, int, int, bool
        See `Ngrams`.
    indptr : int64 (n + 1)
        Receives where each word's buckets begin and end.
    out : int32
        Receives the buckets.
    """
    longest = 0
    for word in range(offsets.shape[0] - 1):
        longest = max(longest, offsets[word + 1] - offsets[word])
    text = np.empty(3 * longest + 2, np.uint8)
    at = 0
    for word in range(offsets.shape[0] - 1):
        indptr[word] = at
        length = bracket(utf8, offsets[word], offsets[word + 1], jamo, text)
        at = hash_ngrams(text, length, min_n, max_n, n_buckets, out, at)
    indptr[-1] = at
