"""The best epoch so far of a training that stops early, as arrays of a state to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedkit.embeddings import load, verify
from embedkit.errors import ModelError

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings
    from embedkit.names import Names

NUMBERS, MODEL = "stopping.numbers", "stopping.best"
_REMEDY = "Remove it to begin anew."


class Standing(NamedTuple):
    """Where an early stopping is: epochs so far, the best of them and its value, and how many brought no gain since."""

    epoch: int
    best_epoch: int
    value: float
    since: int


def packed(standing: Standing, best: Embeddings | None, folder: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a state; those of the best model are the bytes of its file, made in `folder`."""
    arrays: dict[str, np.ndarray] = {NUMBERS: np.array(standing, np.float64)}
    if best is not None:
        path = folder / f"best-{standing.best_epoch}.safetensors"
        if not path.exists():
            for before in folder.glob("best-*.safetensors"):
                before.unlink()
            best.save(path)
        arrays[MODEL] = np.memmap(path, np.uint8, "r")
    return arrays


def unpacked(state: Mapping[str, np.ndarray] | None, folder: Path, tokens: Names) -> tuple[Standing, Embeddings | None]:
    """Return what `packed` got; the beginning where there is no state.

    Raises
    ------
    ModelError
        If the numbers cannot be those of an early stopping, or the best model is damaged, not finite, or has tokens
        that are not among `tokens`, those that are learned from.
    """
    if state is None:
        return Standing(0, 0, 0.0, 0), None
    standing = _standing(state)
    if MODEL not in state:
        return standing, None
    path = folder / f"best-{standing.best_epoch}.safetensors"
    path.write_bytes(state[MODEL].data)
    try:
        verify(path)  # the state's own checksum and look for numbers not finite took the model for mere bytes
        best = load(path, index=False)
    except ModelError as error:
        reason = str(error).removeprefix(f"{path} ").partition(". ")[0].rstrip(".")
        raise ModelError(f"the state is damaged: the model of its best epoch {reason}. {_REMEDY}") from error
    if best.tokens != tokens and (tokens.find_all(list(best.tokens)) < 0).any():
        raise ModelError(f"the state is damaged: the model of its best epoch has tokens of other data. {_REMEDY}")
    return standing, best


def refuse_unlike(best: Embeddings, learned: Embeddings) -> None:
    """Refuse a best model that is not of the form of what the trainer learned when it went on.

    Raises
    ------
    ModelError
        If it has other tokens, vectors of another size, or another query builder.
    """
    form = (learned.vector_size, learned.query)
    if (best.vector_size, best.query) != form or best.tokens != learned.tokens:
        raise ModelError(f"the state is damaged: the model of its best epoch is another training's. {_REMEDY}")


def _standing(state: Mapping[str, np.ndarray]) -> Standing:
    """Return the numbers of a state, checked."""
    numbers, model = state.get(NUMBERS), state.get(MODEL)
    if numbers is None or numbers.shape != (4,) or numbers.dtype != np.float64:
        raise ModelError(f"the state is damaged: {NUMBERS!r} are not the four numbers of an early stopping. {_REMEDY}")
    if model is not None and (model.ndim != 1 or model.dtype != np.uint8):
        raise ModelError(f"the state is damaged: {MODEL!r} are not the bytes of a model. {_REMEDY}")
    epoch, best_epoch, value, since = numbers.tolist()
    # No epoch is best before the first is over; a trainer may keep a state before it tells of the epoch.
    ends = (0 if model is None else 1), best_epoch, epoch, len(state.get("losses", ()))
    whole = all(number.is_integer() for number in (epoch, best_epoch, since))
    if not (whole and list(ends) == sorted(ends) and 0 <= since <= epoch and (model is None) == (best_epoch == 0)):
        raise ModelError(f"the state is damaged: {NUMBERS!r} are none that an early stopping comes to. {_REMEDY}")
    return Standing(int(epoch), int(best_epoch), value, int(since))
