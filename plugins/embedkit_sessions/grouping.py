"""Rows of numbers grouped by user and ordered by time, out of core: memory does not grow with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from embedkit_sessions.temporary import reserve

PART_ROWS = 1 << 20


@dataclass
class Block:
    """Rows in columns: int32 users and items, int64 times (microseconds) or None, float32 weights or None."""

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: np.ndarray | slice) -> Block:
        """Return some of the rows."""
        columns = (self.users, self.items, self.times, self.weights)
        return Block(*(None if c is None else c[rows] for c in columns))  # type: ignore[arg-type]


@dataclass
class Rows:
    """Blocks of rows in flat files, one a column, that are appended to and then read as memory maps."""

    folder: Path
    length: int = 0
    columns: dict[str, np.dtype] = field(default_factory=dict)

    def append(self, block: Block) -> None:
        """Write a block behind the others; all blocks must have the same columns."""
        for name in ("users", "items", "times", "weights"):
            column = getattr(block, name)
            if column is not None:
                self.columns[name] = column.dtype
                with open(self.folder / name, "ab") as file:
                    file.write(np.ascontiguousarray(column).data)
        self.length += len(block)

    def mapped(self) -> Block:
        """Return all rows as one block of read-only memory maps."""
        return Block(**{n: np.memmap(self.folder / n, dtype, mode="r") for n, dtype in self.columns.items()})

    def blocks(self, size: int = PART_ROWS) -> Iterator[Block]:
        """Yield the rows in blocks."""
        for start in range(0, self.length, size):
            # Mapped anew for each block, so that pages of earlier ones are given back.
            yield self.mapped().take(slice(start, start + size))


def grouped(rows: Rows, counts: np.ndarray, keep: np.ndarray, items: np.ndarray, users: np.ndarray) -> Iterator[Block]:
    """Yield the rows part by part, each with all rows of some users, ordered by user, time and original place.

    Parameters
    ----------
    rows
        The rows as they were read, in raw numbers.
    counts
        int64 (users), how many rows each has.
    keep
        bool (users), whose rows are wanted.
    items, users
        int32, from raw numbers to final ones, -1 for those to be left out. The last entry answers -1.
    """
    wanted = np.where(keep, counts, 0)
    before = np.cumsum(wanted) - wanted
    part_of = (before // PART_ROWS).astype(np.int32)
    sizes = np.bincount(part_of, weights=wanted, minlength=1).astype(np.int64)
    starts = np.cumsum(sizes) - sizes
    scattered = _scatter(rows, part_of, keep, items, users, starts, int(sizes.sum()))
    for start, size in zip(starts, sizes, strict=True):
        if size:
            part = scattered.mapped().take(slice(start, start + size))
            yield part.take(order(part.users, part.times))


def _scatter(
    rows: Rows,
    part_of: np.ndarray,
    keep: np.ndarray,
    items: np.ndarray,
    users: np.ndarray,
    starts: np.ndarray,
    total: int,
) -> Rows:
    """Write the rows that are kept part after part, each in the original order, renumbered."""
    target = Rows(rows.folder / "parts", total, dict(rows.columns))
    target.folder.mkdir()
    for name, dtype in target.columns.items():
        with open(target.folder / name, "wb") as file:
            reserve(file, total * dtype.itemsize)
    position = starts.copy()
    for block in rows.blocks():
        block.users, block.items = users[block.users], items[block.items]
        kept = np.flatnonzero((block.users >= 0) & (block.items >= 0))
        kept = kept[keep[block.users[kept]]]
        parts = part_of[block.users[kept]]
        by_part = _stable_order(parts)
        block = block.take(kept[by_part])
        sizes = np.bincount(parts, minlength=len(starts))
        ends = np.cumsum(sizes)
        maps = {n: np.memmap(target.folder / n, d, mode="r+") for n, d in target.columns.items()}
        for part in np.flatnonzero(sizes):
            source = slice(ends[part] - sizes[part], ends[part])
            for name, column in maps.items():
                column[position[part] : position[part] + sizes[part]] = getattr(block, name)[source]
        position += sizes
    return target


def _stable_order(values: np.ndarray) -> np.ndarray:
    """Return what sorts small non-negative integers, equal ones in their order (one plain sort of packed numbers)."""
    packed = values.astype(np.int64) << 32 | np.arange(len(values))
    packed.sort()
    return packed & 0xFFFFFFFF


def order(users: np.ndarray, times: np.ndarray | None) -> np.ndarray:
    """Return what sorts rows by user, time and original place.

    Where user, time and place fit into 63 bits together, they are packed into one number and sorted as such,
    which takes a tenth of the time of a sort by several keys.
    """
    user = users.astype(np.int64) - int(users.min())
    if times is None:
        return _stable_order(user)
    time, span = _shortened(times)
    row_bits, time_bits = (len(users) - 1).bit_length(), span.bit_length()
    if int(user.max()).bit_length() + time_bits + row_bits > 63:
        return np.lexsort((times, users))
    packed = (user << time_bits | time) << row_bits | np.arange(len(users))
    packed.sort()
    return packed & ((1 << row_bits) - 1)


def _shortened(times: np.ndarray) -> tuple[np.ndarray, int]:
    """Return times as whole seconds or milliseconds where they are such, from zero, and the largest."""
    first, last = int(times.min()), int(times.max())
    if last - first >= 2**62:
        return times, 2**63
    for unit in (1_000_000, 1_000):
        if not np.any(times % unit):
            return times // unit - first // unit, last // unit - first // unit
    return times - first, last - first
