"""Options that a model's config tells of, checked: a file may say anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from embedkit.embeddings import Embeddings
from embedkit.errors import ModelError, OptionError
from embedkit.options import build


def told_options(start: Embeddings, entry: str, options: type, names: Collection[str]) -> dict[str, Any]:
    """Return those options of some names that an entry of a model's config holds, each as its option has it.

    Parameters
    ----------
    entry
        Of the config; it is a mapping from names to values, of which others are passed over.
    options
        The dataclass that the names are options of.

    Raises
    ------
    ModelError
        If the entry is no mapping, or a value is none that its option takes.
    """
    told = start.config.get(entry)
    if not isinstance(told, Mapping):
        raise lying(entry, f"must be a table of options; got {told!r}.")
    given = {name: told[name] for name in names if name in told}
    try:
        checked = build(options, given)
    except OptionError as error:
        raise lying(f"{entry}.{error.option}", error.problem) from error
    return {name: getattr(checked, name) for name in given}


def lying(entry: str, problem: str) -> ModelError:
    """Return the error for an entry of a model's config; `problem` is the rest of the sentence, with its full stop."""
    return ModelError(f"the model's config is damaged: {entry} {problem} Copy the model again, or train anew.")
