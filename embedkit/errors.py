"""What can go wrong, told to a person: the fact and the remedy in one line."""

import difflib
from collections.abc import Iterable

DISTRIBUTION = "embedkit-toolkit"
_LONGEST = 1000  # characters of a message


class EmbedkitError(Exception):
    """The ancestor of every error that a user of embedkit can mend; its text is one line, whatever a file holds."""

    def __str__(self) -> str:
        text = " ".join(Exception.__str__(self).splitlines())
        half = _LONGEST // 2
        return text if len(text) <= _LONGEST else f"{text[:half]} [...] {text[-half:]}"


class OptionError(EmbedkitError):
    """An option that does not exist or a value that it does not take.

    Parameters
    ----------
    option
        The option's name, as in Python (`vector_size`).
    problem
        The rest of the sentence: `must be at least 1, not 0.`
    """

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"{option} {problem}")
        self.option = option
        self.problem = problem


class SourceError(EmbedkitError):
    """Input that cannot be read as sentences."""


class EmptyInputError(SourceError):
    """Input of which nothing is left to learn from; a part of the input may be so where the whole is not."""


class ModelError(EmbedkitError):
    """A model file that is missing, damaged or of another format."""


class PluginError(EmbedkitError):
    """A plugin that does not load or does not keep to its contract."""


class UnknownNameError(EmbedkitError, KeyError):
    """A token, key, source, trainer or format that is not there."""

    __str__ = EmbedkitError.__str__


def missing_extra(package: str, extra: str, purpose: str) -> EmbedkitError:
    """Return the error for an optional package that is not installed, naming the command that brings it."""
    return EmbedkitError(f"{purpose} needs {package}, which is not installed: pip install '.[{extra}]'")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ` Did you mean 'a' or 'b'?` for the names nearest to `name`, or an empty string."""
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.6)
    if not near:
        return ""
    return f" Did you mean {' or '.join(repr(n) for n in near)}?"
