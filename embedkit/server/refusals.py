"""What is answered in the place of an answer: a status, and the fact and the remedy in one line."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from embedkit.errors import EmbedkitError

LONGEST_WAIT = 10.0
"""Seconds in which the work on a request has to begin: who asked gives up some time, and asks again."""


class Refusal(EmbedkitError):  # noqa: N818 - an answer, not a fault
    """A request that is not answered.

    Parameters
    ----------
    status
        Of HTTP.
    message
        For a person.
    field
        The parameter that is wrong.
    retry_after
        Seconds after which to ask again.
    """

    def __init__(self, status: int, message: str, field: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = HTTPStatus(status)
        self.field = field
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, Any]:
        """What is sent."""
        body: dict[str, Any] = {"error": str(self)}
        if self.field is not None:
            body["field"] = self.field
        if self.retry_after is not None:
            body["retry_after"] = self.retry_after
        return body

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with the status."""
        headers = {}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = 'Bearer realm="embedkit"'
        return headers


def too_late() -> Refusal:
    """Return the refusal of a request whose turn came after `LONGEST_WAIT`."""
    return Refusal(503, "the server is too busy to answer in time; ask again.", retry_after=2)
