"""A map as a picture fit for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.atlas.figures import new_figure, plain, save
from embedkit.atlas.grouping import NONE
from embedkit.atlas.mapping import Map
from embedkit.atlas.palette import ACCENT, COLOURS, INK, MARKERS, OTHER
from embedkit.atlas.placement import Occupancy, leader, place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LABEL = 6.5  # points of type
_LABELS_PER_INCH2 = 2.0
_DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)))
_TRAIL_COLOURS = (ACCENT, INK, "#5b4a00")
_LEGEND_NAME = 52
_PARTS = (9, 7)  # of a map, across and up, that labels are spread over


@dataclass(frozen=True)
class Picture:
    """What became of a picture.

    Attributes
    ----------
    labelled
        The points that got a label, as places in the map's lists.
    missing
        Letters that no font here has.
    """

    labelled: tuple[int, ...]
    missing: tuple[str, ...]


def write_picture(
    drawn: Map,
    path: Path,
    width: float = 7,
    height: float = 5.5,
    *,
    dpi: int = 300,
    title: str = "",
    labels: int | None = None,
    must: int = 0,
) -> Picture:
    """Write a map as PNG, SVG or PDF, which the path's ending tells; see `draw_map`.

    Raises
    ------
    EmbedkitError
        If matplotlib is not installed, or the file cannot be written.
    """
    labelled: list[int] = []

    def draw() -> Figure:
        figure, found = draw_map(drawn, width, height, title, labels, must)
        labelled.extend(found.points)
        return figure

    missing = save(draw, path, dpi)
    return Picture(tuple(labelled), tuple(missing))


@dataclass(frozen=True)
class Labelled:
    """What of a map got a label.

    Attributes
    ----------
    points
        Places in the map's lists.
    boxes
        float64 (n × 4): left, bottom, width and height of each, in pixels of the figure.
    """

    points: tuple[int, ...]
    boxes: np.ndarray


def draw_map(
    drawn: Map, width: float = 7, height: float = 5.5, title: str = "", labels: int | None = None, must: int = 0
) -> tuple[Figure, Labelled]:
    """Draw a map; call it within `figures.style`, as `figures.save` does.

    Parameters
    ----------
    width, height
        Inches.
    labels
        How many labels at most; as many as there is room for, up to two a square inch, where None.
    must
        The first so many points get labels wherever there is room at all.
    """
    figure = new_figure(width, height)
    axes = figure.add_subplot()
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    size = float(np.clip(width * height * 120 / max(len(drawn), 1), 0.8, 20))
    _points(axes, drawn, size)
    _trails(axes, drawn)
    _legend(figure, axes, size)
    if title:
        axes.set_title(plain(title, 100), fontsize=9)
    figure.canvas.draw()
    figure.set_layout_engine("none")
    _frame(axes, drawn.places)
    most = round(width * height * _LABELS_PER_INCH2) if labels is None else labels
    return figure, _labels(figure, axes, drawn, size, max(most, min(must, len(drawn))), must)


def _frame(axes: Axes, places: np.ndarray) -> None:
    """Show all places, a step across as long as one up: what numbers on the axes would measure means nothing."""
    low, high = places.min(axis=0), places.max(axis=0)
    span = np.maximum((high - low) * 1.06, 1e-3)
    area = axes.get_window_extent()
    span = np.maximum(span, span[::-1] * np.array([area.width / area.height, area.height / area.width]))
    axes.set_xlim(*(low[0] + high[0] + np.array([-1, 1]) * span[0]) / 2)
    axes.set_ylim(*(low[1] + high[1] + np.array([-1, 1]) * span[1]) / 2)


def _points(axes: Axes, drawn: Map, size: float) -> None:
    groups = drawn.groups
    look: dict[str, Any] = {"s": size, "linewidths": 0, "alpha": 0.75, "rasterized": len(drawn) > 20_000}
    rest = groups.ids == NONE
    if rest.any():
        colour = OTHER if groups.names else COLOURS[0]
        axes.scatter(
            drawn.places[rest, 0], drawn.places[rest, 1], color=colour, label=groups.rest or None, zorder=1, **look
        )
    for i, name in enumerate(groups.names):
        members = drawn.places[groups.ids == i]
        label = plain(name, _LEGEND_NAME)
        axes.scatter(members[:, 0], members[:, 1], color=COLOURS[i], marker=MARKERS[i], label=label, zorder=2, **look)


def _trails(axes: Axes, drawn: Map) -> None:
    for i, trail in enumerate(drawn.trails):
        colour, dashes = _TRAIL_COLOURS[i % 3], _DASHES[i % 3]
        key = plain(trail.key, 24)
        history, found = drawn.places[list(trail.history)], drawn.places[list(trail.recommended)]
        if len(history):
            axes.plot(
                *history.T, color=colour, linestyle=dashes, linewidth=0.7, marker="o", markersize=4.5,
                markerfacecolor="none", markeredgewidth=1, alpha=0.85, zorder=4, label=f"{key}: history",
            )  # fmt: skip
        if len(found):
            axes.scatter(
                found[:, 0], found[:, 1], s=42, marker="*", color=colour, edgecolors="white", linewidths=0.4, zorder=5,
                label=f"{key}: recommended",
            )  # fmt: skip


def _legend(figure: Figure, axes: Axes, size: float) -> None:
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return
    longest = max(map(len, names))
    columns = max(1, min(4, int(figure.get_figwidth() * 16 / (longest + 6))))
    legend = figure.legend(
        handles, names, loc="outside lower center", ncols=columns, fontsize=7, columnspacing=1.5, handlelength=1.2
    )
    for handle in legend.legend_handles:
        # Points of a crowded map are too small to tell their colours in a legend.
        if handle is not None and hasattr(handle, "set_sizes") and size < 20:
            handle.set_sizes([24])
            handle.set_alpha(1)


def _labels(figure: Figure, axes: Axes, drawn: Map, size: float, most: int, must: int) -> Labelled:
    """Write labels where there is room, in an order that begins with the trails."""
    order = _order(drawn, must)
    # Room runs out long before the last of many: those tried are ten times those wanted.
    order = order[: max(10 * most, must)]
    if not len(order) or not most:
        return Labelled((), np.empty((0, 4)))
    texts = [plain(drawn.labels[i]) for i in order]
    area = axes.get_window_extent()
    pixel = figure.dpi / 72
    anchors = axes.transData.transform(drawn.places[order]) - (area.x0, area.y0)
    plane = Occupancy(area.width, area.height, max(1.0, _LABEL * pixel / 5))
    radius = max(size**0.5 / 2, 0.8) * pixel
    plane.crowd(axes.transData.transform(drawn.places) - (area.x0, area.y0), radius)
    sizes = _sizes(figure, texts)
    gap = radius + 1.2 * pixel
    corners = place_labels(anchors, sizes, plane, gap, most, must)
    placed = np.flatnonzero(~np.isnan(corners[:, 0]))
    for i in placed.tolist():
        _write(axes, texts[i], anchors[i], corners[i], sizes[i], (area.x0, area.y0), gap)
    boxes = np.hstack((corners[placed] + (area.x0, area.y0), sizes[placed]))
    return Labelled(tuple(order[i] for i in placed.tolist()), boxes)


def _order(drawn: Map, must: int) -> list[int]:
    """Return the points by how much they want a label.

    First those that must have one, recommendations and histories; then the most important of each part of the map in
    turn, as the most frequent words alone all lie in one corner.
    """
    marked = [i for trail in drawn.trails for i in (*trail.recommended, *trail.history)]
    span = np.maximum(np.ptp(drawn.places, axis=0), 1e-9)
    parts = np.minimum((drawn.places - drawn.places.min(axis=0)) / span * _PARTS, np.array(_PARTS) - 1).astype(int)
    part = parts[:, 0] * _PARTS[1] + parts[:, 1]
    by_part = np.argsort(part, kind="stable")
    turn = np.empty(len(part), int)
    turn[by_part] = np.arange(len(part)) - np.searchsorted(part[by_part], part[by_part])
    return list(dict.fromkeys([*range(must), *marked, *np.argsort(turn, kind="stable").tolist()]))


def _sizes(figure: Figure, texts: Sequence[str]) -> np.ndarray:
    """Return how wide and high texts are, in pixels: float64 (n × 2)."""
    from matplotlib.text import Text

    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    probe = Text(0, 0, "", fontsize=_LABEL, figure=figure, parse_math=False)
    sizes = np.empty((len(texts), 2))
    for i, text in enumerate(texts):
        probe.set_text(text or " ")
        extent = probe.get_window_extent(renderer)
        sizes[i] = extent.width + 2, extent.height + 1
    return sizes


def _write(
    axes: Axes, text: str, anchor: np.ndarray, corner: np.ndarray, size: np.ndarray, origin: tuple[float, float],
    gap: float,
) -> None:  # fmt: skip
    """Write a label into its box, with a line to its point where it lies apart from it."""
    end = leader(anchor, corner, size, gap)
    if end is not None:
        ends = axes.transData.inverted().transform(np.array([anchor, end]) + origin)
        axes.plot(*ends.T, color=INK, linewidth=0.35, alpha=0.6, zorder=3)
    x, y = axes.transData.inverted().transform(corner + size / 2 + origin)
    axes.text(
        x, y, text, fontsize=_LABEL, ha="center", va="center", zorder=6, parse_math=False,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.6, "pad": 0.2},
    )  # fmt: skip
