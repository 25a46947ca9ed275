"""Lines of a token and its numbers, read from the right since a token may hold spaces."""

import numpy as np

from embedkit.compiled import kernel

GOOD, TOO_FEW, NO_NUMBER, UNFINISHED = range(4)
SPACE, TAB, RETURN, NEWLINE, PLUS, MINUS, POINT, NOUGHT = 32, 9, 13, 10, 43, 45, 46, 48
POWERS = 10.0 ** np.arange(309)
MANTISSA = np.uint64(10) ** np.uint64(18)


@kernel
def is_digit(byte):
    """Tell whether a byte is one of 0 to 9."""
    return NOUGHT <= byte <= NOUGHT + 9


@kernel
def scaled(mantissa, exponent):
    """Return mantissa times ten to the power of exponent, as float64: exact to the last digit or nearly so."""
    value = np.float64(mantissa)
    while exponent > 0 and value > 0 and value < np.inf:
        step = min(exponent, 308)
        value *= POWERS[step]
        exponent -= step
    while exponent < 0 and value > 0:
        step = min(-exponent, 308)
        value /= POWERS[step]
        exponent += step
    return value


@kernel
def parse_number(text, start, stop):
    """Return the number that a stretch of bytes says, and whether it says one: `-1.25e-3`."""
    i = start
    negative = i < stop and text[i] == MINUS
    if i < stop and (text[i] == MINUS or text[i] == PLUS):
        i += 1
    mantissa, exponent, digits, after_point = np.uint64(0), 0, 0, False
    while i < stop:
        if text[i] == POINT and not after_point:
            after_point = True
        elif is_digit(text[i]):
            digits += 1
            if mantissa < MANTISSA:
                mantissa = mantissa * np.uint64(10) + np.uint64(text[i] - NOUGHT)
                exponent -= after_point
            else:
                exponent += not after_point
        else:
            break
        i += 1
    if i < stop and text[i] | 32 == 101:  # e or E
        i += 1
        down = i < stop and text[i] == MINUS
        if i < stop and (text[i] == MINUS or text[i] == PLUS):
            i += 1
        power, power_digits = 0, 0
        while i < stop and is_digit(text[i]):
            power = min(power * 10 + (np.int64(text[i]) - NOUGHT), 100_000)
            power_digits += 1
            i += 1
        if power_digits == 0:
            return 0.0, False
        exponent += -power if down else power
    value = scaled(mantissa, exponent)
    return -value if negative else value, digits > 0 and i == stop


@kernel
def is_blank(byte):
    """Tell whether a byte is one that parts numbers, or ends a line before its newline."""
    return byte in (SPACE, TAB, RETURN)


@kernel
def parse_line(text, start, stop, vector):
    """Read a line's numbers into `vector`; return where its token ends, and what is wrong with it (GOOD: nothing)."""
    while stop > start and is_blank(text[stop - 1]):
        stop -= 1
    end = stop
    for column in range(vector.shape[0] - 1, -1, -1):
        begin = stop
        while begin > start and text[begin - 1] != SPACE and text[begin - 1] != TAB:
            begin -= 1
        if begin == start:
            return start, TOO_FEW
        value, good = parse_number(text, begin, stop)
        if not good:
            return begin, NO_NUMBER
        vector[column] = value
        end = begin - 1
        stop = end
        while stop > start and is_blank(text[stop - 1]):
            stop -= 1
    return stop if stop > start else end, GOOD  # a token may be a blank itself


@kernel
def parse_lines(text, at, row, most, vectors, starts, stops):
    """Read up to `most` lines of text from byte `at` on.

    Parameters
    ----------
    text : uint8
        The whole file.
    row : int
        The row of `vectors` (float32, n × d) that comes first; no more than n are filled.
    starts, stops : int64 (n)
        Receive where the tokens lie.

    Returns
    -------
    at, row : int
        Where to go on; on an error, where it is.
    problem : int
        GOOD, or what is wrong with row `row`.
    """
    last = min(row + most, vectors.shape[0])
    while row < last and at < text.shape[0]:
        stop = at
        while stop < text.shape[0] and text[stop] != NEWLINE:
            stop += 1
        starts[row] = at
        stops[row], problem = parse_line(text, at, stop, vectors[row])
        if problem != GOOD:
            return stops[row], row, problem
        at, row = stop + 1, row + 1
    return at, row, GOOD


@kernel
def copy_stretches(text, starts, stops, offsets, out):
    """Copy stretches of bytes one behind the other."""
    for i in range(starts.shape[0]):
        for j in range(stops[i] - starts[i]):
            out[offsets[i] + j] = text[starts[i] + j]
