"""Tokens that a format cannot hold: found, refused with the remedy, or replaced where the user says by what."""

from __future__ import annotations

from embedkit.errors import EmbedkitError, OptionError
from embedkit.names import Names

WHITE_SPACE = r"[ \t\n\v\f\r\x00]"
_OTHER_WHITE_SPACE = r"[\x{1c}-\x{1f}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"


def count_matching(names: Names, pattern: str) -> tuple[int, str]:
    """Return how many names match a regular expression (RE2), and the first that does."""
    import pyarrow.compute as pc

    matches = pc.match_substring_regex(names.to_arrow(), pattern)
    number = pc.sum(matches).as_py() or 0
    return number, names[pc.index(matches, True).as_py()] if number else ""


def refuse(names: Names, pattern: str, what: str, remedy: str) -> None:
    """Raise `EmbedkitError` if names match a pattern.

    Parameters
    ----------
    what
        The rest of the sentence: `holds a tab`.
    remedy
        What to do about it.
    """
    number, first = count_matching(names, pattern)
    if number:
        more = f", as do {number - 1:,} more" if number > 1 else ""
        raise EmbedkitError(f"the token {first!r} {what}{more}; {remedy}.")


def without_white_space(names: Names, replacement: str | None, form: str, pattern: str = WHITE_SPACE) -> Names:
    """Return names that a format can hold which parts its fields by blanks.

    Parameters
    ----------
    replacement
        What takes the place of each blank, tab or line break, or None to refuse such names.
    form
        The format's name, for messages.
    pattern
        Which bytes the format cannot hold.

    Raises
    ------
    EmbedkitError
        If a name is empty, holds white space and there is no replacement, or two become the same.
    """
    empty, _ = count_matching(names, r"\A\z")
    if empty:
        raise EmbedkitError(f"an empty token cannot be told apart in {form}; export to parquet or npz instead.")
    if replacement is None:
        refuse(
            names, pattern, f"holds white space, which {form} cannot tell from the end of a token",
            "put another character in its place with --blanks _, or export to parquet or npz",
        )  # fmt: skip
        return names
    return _replaced(names, replacement, pattern)


def _replaced(names: Names, replacement: str, pattern: str) -> Names:
    import pyarrow.compute as pc

    result = Names.from_arrow(pc.replace_substring_regex(names.to_arrow(), pattern, replacement.replace("\\", r"\\")))
    twice = result.first_duplicate()
    if twice is not None:
        raise OptionError("blanks", f"{replacement!r} makes two tokens the same, {twice!r}; choose another character.")
    return result


def other_white_space(names: Names) -> str | None:
    """Return a line about names with white space beyond ASCII's, which careless readers split at, or None."""
    number, first = count_matching(names, _OTHER_WHITE_SPACE)
    if not number:
        return None
    holders = f"{first!r} holds" if number == 1 else f"{first!r} and {number - 1:,} more tokens hold"
    return f"{holders} white space beyond ASCII's: gensim and fastText read that, programs that split at any do not."
