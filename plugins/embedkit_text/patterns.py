"""Regular expressions: the one that defines a word, and the check of the user's."""

from __future__ import annotations

import re
import time
import unicodedata
from functools import lru_cache

import embedkit

_JOINERS = "\u200c\u200d"
ASSIGNED = (range(0x40000), range(0xE0000, 0xE1000))
"""Where characters are or will be; Unicode leaves the planes 4 to 13 empty and the last two to private use."""

_PROBES = ("a", "0", " ", "-", "가", "a ", "a-", "a'", "aA", "a0")
_PATIENCE = 0.02


@lru_cache(maxsize=1)
def continuing() -> str:
    """Return what `[...]` needs to hold for the characters that go on with a word but begin none.

    These are the combining marks, and the joiners that shape Indic and Persian words.
    """
    assigned = "".join(chr(code) for codes in ASSIGNED for code in codes)
    kinds = "".join(map(unicodedata.category, assigned))[::2]
    marks = (f"{assigned[m.start()]}-{assigned[m.end() - 1]}" for m in re.finditer("M+", kinds))
    return "".join(marks) + _JOINERS


def word_pattern() -> str:
    r"""Return the regular expression `\w[\w\p{M}\u200c\u200d]*` of a word, spelt out as `re` has no `\p{M}`."""
    return rf"\w[\w{continuing()}]*"


def check_pattern(tokenizer: str, pattern: str | None) -> None:
    r"""Check the user's regular expression before anything is read.

    Raises
    ------
    embedkit.OptionError
        If there is none for `regex` or one for another tokenizer; if it is no regular expression, holds several groups,
        matches nothing at all (`\w*`), or takes time exponential in the length of a line (`(\w+)+-`).
    """
    if tokenizer != "regex":
        if pattern is not None:
            raise embedkit.OptionError("pattern", f"is for --tokenizer regex, not {tokenizer!r}.")
        return
    if pattern is None:
        raise embedkit.OptionError("pattern", r"is missing: --tokenizer regex needs it, such as '\w+'.")
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise embedkit.OptionError("pattern", f"{pattern!r} is no regular expression: {error}.") from error
    if compiled.groups > 1:
        raise embedkit.OptionError(
            "pattern", f"{pattern!r} has {compiled.groups} groups and one can be the token: write the others (?:...)."
        )
    if any(not found[0] for found in compiled.finditer("a")):
        raise embedkit.OptionError("pattern", f"{pattern!r} matches where nothing is: use + for *.")
    probe = _explodes_on(compiled)
    if probe:
        raise embedkit.OptionError(
            "pattern", f"{pattern!r} takes exponential time on lines such as {probe!r}: do not repeat a repetition."
        )


def _explodes_on(pattern: re.Pattern[str]) -> str | None:
    """Return a short line that takes the pattern too long, found in small steps so that the trial is short."""
    for unit in _PROBES:
        for length in range(6, 32, 2):
            line = unit * length + "\x00"
            # Twice: once may be a collection of garbage that falls into it.
            if _seconds(pattern, line) > _PATIENCE and _seconds(pattern, line) > _PATIENCE:
                return unit * length
    return None


def _seconds(pattern: re.Pattern[str], line: str) -> float:
    start = time.thread_time()
    pattern.match(line)
    return time.thread_time() - start
