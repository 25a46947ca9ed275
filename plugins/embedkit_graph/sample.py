"""The source's own sample: an invented school whose clubs are communities, made by a generator, always the same."""

from __future__ import annotations

from typing import Any

_SEED = 11
_INSIDE, _OUTSIDE = 0.32, 0.008
_NAMES = """
    Ada Ben Cleo Dov Elif Finn Gita Hugo Ines Jin Kofi Lena Milo Nadia Omar Pia Quinn Rosa Sami Tove Uma Viktor Wen
    Yuki Zora
"""
CLUBS: dict[str, tuple[str, ...]] = {
    club: tuple(f"{name}-{club}" for name in _NAMES.split())
    for club in ("chess", "choir", "drama", "garden", "judo", "robotics", "rowing", "debate")
}


def friendships() -> Any:
    """Return an Arrow table of edges, each once: 200 pupils, eight clubs, many friends in one's club and few outside.

    A pupil is called by name and club, so that one can see whether neighbours were found.
    """
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(_SEED)
    pupils = [pupil for members in CLUBS.values() for pupil in members]
    club = np.repeat(np.arange(len(CLUBS)), len(pupils) // len(CLUBS))
    chance = np.where(club[:, None] == club, _INSIDE, _OUTSIDE)
    first, second = np.nonzero(np.triu(rng.random(chance.shape) < chance, 1))
    return pa.table({"source": [pupils[i] for i in first], "target": [pupils[i] for i in second]})
