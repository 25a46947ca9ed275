"""Going on from a state: what it holds is put where it was, after it was seen that it fits there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from embedkit.errors import EmbedkitError

_ADVICE = "Remove it to begin anew."


def put_back(state: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays of a state over those of the same names.

    Raises
    ------
    EmbedkitError
        If one is missing, or of another shape or type; nothing is changed then.
    """
    for name, array in arrays.items():
        given = state.get(name)
        if given is None or given.shape != array.shape or given.dtype != array.dtype:
            found = "nothing" if given is None else f"{given.dtype} of {_times(given)}"
            raise EmbedkitError(
                f"the state is not of this training: for {name!r} it holds {found} instead of {array.dtype} of "
                f"{_times(array)}. {_ADVICE}"
            )
    for name, array in arrays.items():
        array[...] = state[name]


def losses_of(state: Mapping[str, np.ndarray], epochs: int) -> list[float]:
    """Return the mean losses of the epochs that are over.

    Raises
    ------
    EmbedkitError
        If there are more than `epochs`, or they are none.
    """
    losses = state["losses"]
    if losses.ndim != 1 or losses.dtype.kind != "f" or len(losses) > epochs:
        raise EmbedkitError(
            f"the state is not of this training: its losses are {losses.dtype} of {_times(losses)}, and there are "
            f"{epochs:,} epochs. {_ADVICE}"
        )
    return [float(loss) for loss in losses]


def check_within(name: str, numbers: np.ndarray, least: int, most: int) -> None:
    """Refuse a state in which places are none.

    Raises
    ------
    EmbedkitError
        If one of the numbers is less than `least` or more than `most`.
    """
    if numbers.size and (numbers.min() < least or numbers.max() > most):
        raise EmbedkitError(f"the state is damaged: its {name} are out of their bounds. {_ADVICE}")


def _times(array: np.ndarray) -> str:
    return " × ".join(f"{length:,}" for length in array.shape) or "no dimension"
