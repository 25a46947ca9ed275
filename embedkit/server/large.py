"""Large answers: how much of them may be in the making at a time, and how they are written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from embedkit.server.refusals import Refusal

_MOST = 100_000
_MOST_AT_WORK = 5 * _MOST  # some 300 bytes each
_SMALL = 1000  # results that need not wait for large answers of others
_NUMBERS = 10  # of vectors, that weigh as much as a result


class Room:
    """What all answers that are being made may hold together.

    Attributes
    ----------
    at_work
        Results of answers that are being made.
    """

    def __init__(self) -> None:
        self.at_work = 0

    def of_results(self, n: int) -> contextlib.AbstractContextManager[None]:
        """Make an answer of `n` results meanwhile.

        Raises
        ------
        Refusal
            With 422 where one answer may not hold as many, with 503 where all together may not.
        """
        if n > _MOST:
            raise Refusal(422, f"an answer has at most {_MOST:,} results; lower topn or send fewer.", "topn")
        return self._holding(n)

    def of_numbers(self, n: int) -> contextlib.AbstractContextManager[None]:
        """Make an answer of vectors with `n` numbers in all meanwhile; refuses as `of_results` does."""
        if n > _MOST * _NUMBERS:
            raise Refusal(422, f"an answer has at most {_MOST * _NUMBERS:,} numbers of vectors; send fewer.", "tokens")
        return self._holding(-(-n // _NUMBERS))

    @contextlib.contextmanager
    def _holding(self, n: int) -> Iterator[None]:
        if n > _SMALL and self.at_work + n > _MOST_AT_WORK:
            raise Refusal(503, "the server is busy with large requests; ask again.", retry_after=1)
        self.at_work += n
        try:
            yield
        finally:
            self.at_work -= n


@dataclass(frozen=True)
class Written:
    """An answer as JSON in UTF-8."""

    text: bytes


def written(body: Mapping[str, Any]) -> Written:
    """Return an object as JSON, each element of its lists and iterators written on its own; for a thread.

    To write it in one go would hold the interpreter for as long as that takes, in whichever thread. What an iterator
    gives exists one at a time.
    """
    parts = [
        dumped(name) + b":" + (b"[%b]" % b",".join(map(dumped, value)) if _is_many(value) else dumped(value))
        for name, value in body.items()
    ]
    return Written(b"{%b}" % b",".join(parts))


def _is_many(value: Any) -> bool:
    return isinstance(value, list | Iterator)


def dumped(body: Any) -> bytes:
    """Return JSON; a number that is not finite is a bug and raises ValueError."""
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="replace")
