"""The best epoch so far of a training that stops early, as arrays of a state to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedkit.embeddings import load

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings

NUMBERS, MODEL = "stopping.numbers", "stopping.best"


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


def unpacked(state: Mapping[str, np.ndarray] | None, folder: Path) -> tuple[Standing, Embeddings | None]:
    """Return what `packed` got; the beginning where there is no state."""
    if state is None:
        return Standing(0, 0, 0.0, 0), None
    epoch, best_epoch, value, since = state[NUMBERS].tolist()
    standing = Standing(int(epoch), int(best_epoch), value, int(since))
    if MODEL not in state:
        return standing, None
    path = folder / f"best-{standing.best_epoch}.safetensors"
    path.write_bytes(state[MODEL].data)
    return standing, load(path)
