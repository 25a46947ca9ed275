"""Numbers for ids, batch by batch, and what becomes of their text: trimmed, normalised, missing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedkit import SourceError, check_fits

_MISSING = ["", "nan", "NaN", "\\N"]
_LOOK_UP_BYTES = 48  # of an id, while others are looked up among them
_WHOLE = r"^-?[0-9]+\.0+$"


class Ids:
    """The distinct values of a column and their numbers, in the order in which they are first met.

    Parameters
    ----------
    kind
        What they are, for messages: `users` or `items`.
    """

    def __init__(self, kind: str = "ids") -> None:
        self._kind = kind
        self.values = pa.array([], pa.large_string())

    def encode(self, column: pa.Array) -> np.ndarray:
        """Return each value's number as int32, -1 where it is null."""
        encoded = column.dictionary_encode()
        local = encoded.dictionary.cast(pa.large_string())
        known = pc.index_in(local, value_set=self.values)
        new = known.is_null().to_numpy(zero_copy_only=False)
        codes = np.append(known.fill_null(0).to_numpy(zero_copy_only=False), np.int32(-1))
        codes[:-1][new] = len(self.values) + np.arange(np.count_nonzero(new))
        if new.any():
            check_fits(
                2 * (self.values.nbytes + local.nbytes) + _LOOK_UP_BYTES * (len(self.values) + len(local)),
                f"more than the {len(self.values):,} different {self._kind} so far",
                "read a part of the input",
            )
            self.values = pa.concat_arrays([self.values, local.filter(pa.array(new))])
        indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return codes[indices].astype(np.int32, copy=False)


def canonical(values: pa.LargeStringArray) -> tuple[pa.LargeStringArray, np.ndarray]:
    """Return the ids that raw values stand for, and for each raw value its id's number, -1 where it is missing.

    Values are trimmed and normalised to NFC, so two spellings of one id become one. Where every value is a whole
    number ending in `.0`, as gaps in a column of whole numbers leave them, the ending is cut off.
    """
    text = pc.utf8_normalize(pc.utf8_trim_whitespace(values), form="NFC")
    missing = pc.is_in(text, value_set=pa.array(_MISSING, pa.large_string()))
    present = text.filter(pc.invert(missing))
    if len(present) and pc.all(pc.match_substring_regex(present, _WHOLE)).as_py():
        text = pc.replace_substring_regex(text, r"\.0+$", "")
    encoded = pc.if_else(missing, pa.scalar(None, pa.large_string()), text).dictionary_encode()
    return encoded.dictionary, encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)


def refuse_nul(texts: pa.Array, where: str) -> None:
    """Raise `SourceError` if a text holds a NUL character, which no id does and damaged files do."""
    damaged = texts.filter(pc.match_substring(texts, "\0"))
    if len(damaged):
        raise SourceError(
            f"{where} holds a NUL character, in {damaged[0].as_py()!r}; it is damaged or no text: mend it."
        )
