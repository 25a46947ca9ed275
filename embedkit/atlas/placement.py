"""Where labels go so that none lies on another: greedily, the most important first, over a grid of taken places."""

from __future__ import annotations

import numpy as np

_FREE = 0.12  # the share of a label that may lie over points
_RINGS = (0.0, 1.2, 3.0)  # how much farther than close by a label is tried, in heights of a line
_OF_ALL = 2  # the rings that are tried for a label that need not be there
_DEAR = 0.02  # what a ring farther out costs beside a share of the label over points
# Where a label's box touches its point: its middle left, right, bottom and top, then its corners.
_SIDES = ((0, 0.5), (1, 0.5), (0.5, 0), (0.5, 1), (0, 0), (1, 0), (0, 1), (1, 1))


class Occupancy:
    """A plane in cells: which are taken by labels, which are crowded with points.

    Parameters
    ----------
    width, height
        Of the plane, in any unit; so all lengths.
    cell
        A side of a cell.
    """

    def __init__(self, width: float, height: float, cell: float) -> None:
        self.width, self.height, self.cell = width, height, cell
        shape = int(np.ceil(height / cell)) + 1, int(np.ceil(width / cell)) + 1
        self._taken = np.zeros(shape, bool)
        self._crowded = np.zeros(shape, bool)

    def crowd(self, points: np.ndarray, radius: float) -> None:
        """Note points (n × 2) as something that labels would rather not hide."""
        reach = int(np.ceil(radius / self.cell))
        cells = np.floor(points / self.cell).astype(int)
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                if np.hypot(dx, dy) * self.cell <= radius:
                    rows, columns = cells[:, 1] + dy, cells[:, 0] + dx
                    inside = (rows >= 0) & (columns >= 0) & (rows < self._crowded.shape[0])
                    inside &= columns < self._crowded.shape[1]
                    self._crowded[rows[inside], columns[inside]] = True

    def _cells(self, left: float, bottom: float, width: float, height: float) -> tuple[slice, slice]:
        first, last = int(np.floor(left / self.cell)), int(np.floor((left + width) / self.cell))
        low, high = int(np.floor(bottom / self.cell)), int(np.floor((bottom + height) / self.cell))
        return slice(low, high + 1), slice(first, last + 1)

    def cost(self, left: float, bottom: float, width: float, height: float) -> float:
        """Return the share of a box that lies over points; infinite where it lies over a label or beyond the edge."""
        if left < 0 or bottom < 0 or left + width > self.width or bottom + height > self.height:
            return float("inf")
        cells = self._cells(left, bottom, width, height)
        return float("inf") if self._taken[cells].any() else float(self._crowded[cells].mean())

    def crossed(self, line: np.ndarray) -> bool:
        """Return whether a line, given by its points (n × 2), runs through what is taken."""
        return bool(self._taken[self._under(line)].any())

    def take_line(self, line: np.ndarray) -> None:
        """Note that a line runs here, given by its points (n × 2)."""
        self._taken[self._under(line)] = True

    def _under(self, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cells = np.floor(line / self.cell).astype(int)
        inside = (cells >= 0).all(axis=1) & (cells[:, 1] < self._taken.shape[0]) & (cells[:, 0] < self._taken.shape[1])
        return cells[inside, 1], cells[inside, 0]

    def take(self, left: float, bottom: float, width: float, height: float) -> None:
        """Note that a label lies here."""
        self._taken[self._cells(left, bottom, width, height)] = True


def place_labels(
    anchors: np.ndarray, sizes: np.ndarray, plane: Occupancy, gap: float, most: int, must: int = 0
) -> np.ndarray:
    """Return where the lower left corner of each label goes: float64 (n × 2), NaN for those that find no place.

    Parameters
    ----------
    anchors
        (n × 2), what the labels belong to, the most important first.
    sizes
        (n × 2), widths and heights of the labels.
    gap
        Between a point and its label.
    most
        How many labels at most.
    must
        The first so many are put wherever no other label is, even over points.
    """
    corners = np.full(anchors.shape, np.nan)
    placed = 0
    for i, (anchor, size) in enumerate(zip(anchors, sizes, strict=True)):
        if placed >= most:
            break
        found = _best(anchor, size, plane, gap, wanted=i < must)
        if found is None:
            continue
        plane.take_line(_leader(anchor, found, size, gap, plane.cell))
        plane.take(*found, *size)
        corners[i] = found
        placed += 1
    return corners


def leader(anchor: np.ndarray, corner: np.ndarray, size: np.ndarray, gap: float) -> np.ndarray | None:
    """Return the end of the line from a point to its label's box, float64 (2); None where the label is close by."""
    end = np.clip(anchor, corner, corner + size)
    return end if np.hypot(*(end - anchor)) > gap * 1.5 + 0.2 * size[1] else None


def _leader(anchor: np.ndarray, corner: np.ndarray, size: np.ndarray, gap: float, step: float) -> np.ndarray:
    end = leader(anchor, corner, size, gap)
    if end is None:
        return np.empty((0, 2))
    direction = end - anchor
    steps = int(np.ceil(np.hypot(*direction) / step)) + 1
    return np.asarray(anchor + direction * np.linspace(0, 1, steps)[:, None])


def _best(anchor: np.ndarray, size: np.ndarray, plane: Occupancy, gap: float, wanted: bool) -> np.ndarray | None:
    """Return the corner of the box about a point that hides least, or None where each hides too much."""
    cheapest, best = float("inf"), None
    for ring, farther in enumerate(_RINGS if wanted else _RINGS[:_OF_ALL]):
        away = gap + farther * size[1]
        for side in _SIDES:
            shares = np.array(side)
            corner = anchor - shares * size + (1 - 2 * shares) * away
            cost = plane.cost(*corner, *size) + ring * _DEAR
            if cost >= cheapest or (cost > _FREE and not wanted):
                continue
            if not plane.crossed(_leader(anchor, corner, size, gap, plane.cell)):
                cheapest, best = cost, corner
        if cheapest <= (ring + 1) * _DEAR:
            break
    return best
