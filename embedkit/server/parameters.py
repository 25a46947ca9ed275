"""What may be asked for: the parameters of each question, and what is said where they are wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embedkit.errors import did_you_mean
from embedkit.server.refusals import Refusal

Topn = Annotated[int, Field(ge=1, description="How many answers.")]
Token = Annotated[str, Field(min_length=1, description="A token's id.")]
Key = Annotated[str, Field(min_length=1, description="A key's id: a user, a document.")]
# Only the first fault is told: to find half a million in one body would take half a gigabyte.
Tokens = Annotated[list[Token], Field(min_length=1, fail_fast=True)]
Fallback = Annotated[
    Literal["none", "popular"], Field(description="What an unknown key gets: an error, or the most frequent tokens.")
]
_SHOWN = 60


class Parameters(BaseModel):
    """The ancestor of all."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Search(Parameters):
    """Search as you type."""

    q: str = Field("", description="What names or labels begin with or hold; nothing: the most frequent.")
    kind: Literal["token", "key"] = "token"
    topn: Topn = 10


class Recommend(Parameters):
    """For a key, or for a history."""

    key: Key | None = None
    item: list[Token] = Field([], description="A history, oldest first; repeat it.")
    exclude: list[Token] = Field([], description="Never answer with this token; repeat it.")
    topn: Topn = 10
    include_seen: bool = Field(False, description="Whether tokens of the history may be answers.")
    explain: bool = Field(False, description="Whether to tell which tokens of the history carried each score.")
    fallback: Fallback = "none"


class RecommendMany(Parameters):
    """For many keys, or for many histories."""

    keys: list[Key] | None = Field(None, min_length=1, fail_fast=True)
    histories: list[Tokens] | None = Field(None, min_length=1, fail_fast=True, description="Each oldest first.")
    exclude: list[Token] = Field([], fail_fast=True, description="Tokens that are never answers.")
    topn: Topn = 10
    include_seen: bool = False
    explain: bool = False
    fallback: Fallback = "none"


class Similar(Parameters):
    """To one token."""

    token: Token
    topn: Topn = 10


class SimilarMany(Parameters):
    """To each of many tokens."""

    tokens: Tokens
    topn: Topn = 10


class Analogy(Parameters):
    """What completes "a is to b as c is to ?"."""

    a: Token
    b: Token
    c: Token
    topn: Topn = 10


class Similarity(Parameters):
    """Of two tokens."""

    a: Token
    b: Token


class Vectors(Parameters):
    """Of tokens and of keys."""

    token: list[Token] = Field([], description="Repeat it for many.")
    key: list[Key] = Field([], description="Repeat it for many.")


class VectorsMany(Parameters):
    """Of tokens and of keys."""

    tokens: list[Token] = Field([], fail_fast=True)
    keys: list[Key] = Field([], fail_fast=True)


class HistoryOf(Parameters):
    """Of a key."""

    key: Key
    limit: int = Field(1000, ge=1, le=10_000, description="How many entries at most: the newest.")


class MapOf(Parameters):
    """Of the most frequent tokens."""

    limit: int = Field(20000, ge=1, le=100000, description="How many tokens.")


P = TypeVar("P", bound=Parameters)


def from_query(kind: type[P], query: bytes) -> P:
    """Return the parameters in a URL's query.

    Raises
    ------
    Refusal
        422, saying what to send.
    """
    given: dict[str, Any] = {}
    fields = kind.model_fields
    try:
        pairs = parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10_000)
    except ValueError as error:
        raise Refusal(422, f"the query cannot be read: {error}.") from error
    for name, value in pairs:
        if name in fields and _takes_many(fields[name].annotation):
            given.setdefault(name, []).append(value)
        elif name in given:
            raise Refusal(422, f"{name} is given twice; give it once.", name)
        else:
            given[name] = value
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise _refusal(error, kind) from error


def from_json(kind: type[P], body: bytes) -> P:
    """Return the parameters in a body; numbers must be numbers there, and NaN is none.

    Raises
    ------
    Refusal
        422, saying what to send.
    """
    try:
        return kind.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise _refusal(error, kind) from error


def _takes_many(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is list


def _refusal(error: ValidationError, kind: type[Parameters]) -> Refusal:
    """Return what to say about the first of the errors."""
    first: Mapping[str, Any] = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return Refusal(422, f"the body is no JSON: {first['ctx']['error']}. Send an object such as {_example(kind)}.")
    if not first["loc"]:
        return Refusal(422, f"the body must be a JSON object such as {_example(kind)}.")
    field = "".join(f"[{part}]" if isinstance(part, int) else str(part) for part in first["loc"])
    return Refusal(422, f"{field} {_problem(first, kind)}", field)


def _problem(error: Mapping[str, Any], kind: type[Parameters]) -> str:
    """Return the rest of the sentence that begins with the parameter's name."""
    given = json.dumps(error["input"], ensure_ascii=False, default=str)
    given = given if len(given) <= _SHOWN else f"{given[:_SHOWN]}..."
    context, what = error.get("ctx", {}), error["type"]
    if what == "missing":
        return "is missing; give it."
    if what == "extra_forbidden":
        near = did_you_mean(str(error["loc"][-1]), kind.model_fields)
        return (
            f"is no parameter here.{near}"
            if near
            else f"is no parameter here. There are: {', '.join(kind.model_fields)}."
        )
    if what in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return f"must be {bound}; got {given}."
    must = {
        "int": "a whole number", "float": "a number", "bool": "true or false", "string": "a string", "list": "a list",
    }.get(what.partition("_")[0])  # fmt: skip
    if what.endswith("too_short"):
        return "must not be empty."
    if what == "string_unicode":
        return "must be valid Unicode text."
    if must is not None:
        return f"must be {must}; got {given}."
    if what == "literal_error":
        return f"must be {context['expected']}; got {given}."
    return f"is wrong: {error['msg']}; got {given}."


def _example(kind: type[Parameters]) -> str:
    """Return a body that would be taken."""
    examples = {"keys": ["a"], "histories": [["a", "b"]], "tokens": ["a"]}
    name = next(name for name in kind.model_fields if name in examples)
    return json.dumps({name: examples[name]})
