"""Vectors as text and as word2vec's records: each number in the fewest digits that are read back as the same float32.

Between two neighbours of a float32 there is room enough that float64 arithmetic finds the shortest decimal; what lies
too near the edge for it, or for a reader that goes by way of float64, is given a digit more.
"""

import numpy as np

from embedkit.compiled import kernel

BLANK, NEWLINE, MINUS, POINT, NOUGHT, LETTER_E = 32, 10, 45, 46, 48, 101
DIGITS = 9  # decimal digits that always tell one float32 from the next
LONGEST = 18  # bytes of a number and what parts it from the next: -0.000123456789
LEAST_POSITIONAL, MOST_POSITIONAL = -4, 9  # powers of ten between which numbers are written without an exponent
SMALLEST_POWER = -32
POWERS = np.array([float(f"1e{power}") for power in range(SMALLEST_POWER, 56)])
STEPS = np.uint64(10) ** np.arange(DIGITS + 2, dtype=np.uint64)
TEN = np.uint64(10)
# For each exponent of a float32, the power of ten that brings its smallest number to nine digits before the point.
SCALES = DIGITS - 1 - np.floor(np.log10(2.0) * (np.arange(255) - 127)).astype(np.int64)
# For each exponent, half of what lies between two such numbers.
HALF_GAPS = 2.0 ** (np.maximum(np.arange(255), 1) - 151)
MARGIN = 2.0**-49


@kernel
def scale_of(value, exponent):
    """Return the power of ten that brings a positive number, given with its exponent's bits, to nine digits."""
    scale = SCALES[exponent]
    while value * POWERS[scale - SMALLEST_POWER] < 1e8:
        scale += 1  # numbers below the least normal one share its exponent
    return scale - (value * POWERS[scale - SMALLEST_POWER] >= 1e9)


@kernel
def shortest(value, below, above, scale):
    """Return the decimal of fewest digits between two bounds around a positive float64, nearest to it.

    Parameters
    ----------
    scale : int
        The power of ten that brings `value` to nine digits before the point.

    Returns
    -------
    mantissa : uint64
    power : int
        The decimal is mantissa × 10 to the power.
    """
    factor = POWERS[scale - SMALLEST_POWER]
    middle = value * factor
    low, high = below * factor * (1 + MARGIN), above * factor * (1 - MARGIN)
    best, places = np.uint64(np.rint(middle)), 0
    whole = np.uint64(middle)
    for place in range(1, DIGITS + 1):
        whole //= TEN
        down = np.float64(whole * STEPS[place])
        up = np.float64((whole + np.uint64(1)) * STEPS[place])
        if down >= low and down > 0 and (middle - down <= up - middle or up > high):
            best = whole
        elif up <= high:
            best = whole + np.uint64(1)
        else:
            break
        places = place
    return best, places - scale


@kernel
def write_digits(out, at, mantissa, n_digits):
    """Write a whole number (uint64) in that many digits; return where it ends."""
    for i in range(n_digits - 1, -1, -1):
        rest = mantissa // TEN
        out[at + i] = NOUGHT + np.uint8(mantissa - rest * TEN)
        mantissa = rest
    return at + n_digits


@kernel
def count_digits(mantissa):
    """Return how many digits a positive whole number has."""
    n = 1
    while n <= DIGITS and mantissa >= STEPS[n]:
        n += 1
    return n


@kernel
def write_scientific(out, at, mantissa, n, first):
    """Write a number of n digits, of which the first stands for that power of ten, as `1.25e-7`."""
    head = mantissa // STEPS[n - 1]
    at = write_digits(out, at, head, 1)
    if n > 1:
        out[at] = POINT
        at = write_digits(out, at + 1, mantissa - head * STEPS[n - 1], n - 1)
    out[at] = LETTER_E
    at += 1
    if first < 0:
        out[at] = MINUS
        at += 1
    exponent = np.uint64(abs(first))
    return write_digits(out, at, exponent, count_digits(exponent))


@kernel
def write_decimal(out, at, mantissa, power):
    """Write mantissa × 10 to the power; return where it ends."""
    n = count_digits(mantissa)
    first = n - 1 + power
    if first < LEAST_POSITIONAL or first > MOST_POSITIONAL:
        return write_scientific(out, at, mantissa, n, first)
    if power >= 0:
        return write_digits(out, at, mantissa * STEPS[power], n + power)
    if first < 0:
        out[at], out[at + 1] = NOUGHT, POINT
        return write_digits(out, at + 2, mantissa, -power)
    head = mantissa // STEPS[-power]
    at = write_digits(out, at, head, n + power)
    out[at] = POINT
    return write_digits(out, at + 1, mantissa - head * STEPS[-power], -power)


@kernel
def write_number(out, at, value, bits):
    """Write a finite float32, given with its bits; return where it ends."""
    if bits >> np.uint32(31):
        out[at] = MINUS
        at += 1
    bits &= np.uint32(0x7FFFFFFF)
    if bits == 0:
        out[at] = NOUGHT
        return at + 1
    positive = np.float64(abs(value))
    exponent = np.int64(bits >> np.uint32(23))
    half_gap = HALF_GAPS[exponent]
    narrow = exponent > 1 and bits & np.uint32(0x7FFFFF) == 0  # below a power of two, numbers lie twice as close
    below = positive - (half_gap / 2 if narrow else half_gap)
    mantissa, power = shortest(positive, below, positive + half_gap, scale_of(positive, exponent))
    return write_decimal(out, at, mantissa, power)


@kernel
def write_lines(utf8, offsets, vectors, bits, parting, out):
    """Write a line for each row: its token and its numbers, parted by one byte.

    Parameters
    ----------
    utf8, offsets : uint8, int64 (n + 1)
        The tokens; with `offsets` of length 0, lines have none.
    vectors, bits : float32, uint32 (n, d)
        The numbers, finite, and the same memory as bits.
    parting : int
        The byte between them.
    out : uint8
        Receives the text; LONGEST bytes a number, and those of the tokens, are enough.

    Returns
    -------
    int
        How many bytes were written.
    """
    at = 0
    for row in range(vectors.shape[0]):
        if offsets.shape[0]:
            for i in range(offsets[row], offsets[row + 1]):
                out[at] = utf8[i]
                at += 1
            out[at] = parting
            at += 1
        for column in range(vectors.shape[1]):
            at = write_number(out, at, vectors[row, column], bits[row, column])
            out[at] = parting
            at += 1
        out[at - 1] = NEWLINE
    return at


@kernel
def write_records(utf8, offsets, numbers, out):
    """Write a record for each row: its token, a blank, the bytes of its numbers (uint8, n × 4d), a newline."""
    at = 0
    for row in range(numbers.shape[0]):
        for i in range(offsets[row], offsets[row + 1]):
            out[at] = utf8[i]
            at += 1
        out[at] = BLANK
        at += 1
        for i in range(numbers.shape[1]):
            out[at + i] = numbers[row, i]
        at += numbers.shape[1]
        out[at] = NEWLINE
        at += 1
    return at
