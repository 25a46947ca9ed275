"""Plots of how training went and of what evaluations found, fit for a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embedkit.atlas.figures import new_figure, plain, save
from embedkit.atlas.palette import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES = ("-", "--", "-.", ":")
_NAME = 40


@dataclass(frozen=True)
class Curve:
    """A line of a plot.

    Attributes
    ----------
    name
        What it is of.
    x, y
        Its points.
    low, high
        The ends of their 95% intervals; None where there are none.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def write_curves(
    curves: Sequence[Curve],
    path: Path,
    width: float,
    height: float,
    *,
    dpi: int,
    x_name: str,
    y_name: str,
    title: str = "",
    logarithmic: bool = False,
    whole: bool = True,
    from_zero: bool = False,
) -> tuple[str, ...]:
    """Write lines with markers as PNG, SVG or PDF, told apart by colour, marker and dashes.

    Parameters
    ----------
    logarithmic
        Whether x is shown by magnitude.
    whole
        Whether x has whole numbers alone; those that there are get ticks, as long as they are few.
    from_zero
        Whether y begins at 0.

    Returns
    -------
    tuple
        Letters that no font here has.
    """

    def draw() -> Figure:
        figure = new_figure(width, height)
        axes = figure.add_subplot()
        for i, curve in enumerate(curves):
            _line(axes, curve, i, shade=0.15 if len(curves) < 4 else 0.08)
        if logarithmic:
            axes.set_xscale("log")
        _ticks(axes, sorted({x for curve in curves for x in curve.x}), logarithmic, whole)
        if from_zero:
            axes.set_ylim(bottom=0)
        axes.set(xlabel=x_name, ylabel=y_name)
        if title:
            axes.set_title(plain(title, 100), fontsize=9)
        if len(curves) > 1:
            axes.legend(fontsize=7, handlelength=2.6)
        return figure

    return tuple(save(draw, path, dpi))


def _line(axes: Axes, curve: Curve, i: int, shade: float) -> None:
    colour = COLOURS[i % len(COLOURS)]
    order = np.argsort(curve.x, kind="stable")
    x, y = (np.asarray(values, float)[order] for values in (curve.x, curve.y))
    few = len(x) <= 30
    axes.plot(
        x, y, color=colour, linestyle=_DASHES[i // 2 % len(_DASHES)], linewidth=1.1, label=plain(curve.name, _NAME),
        marker=MARKERS[i % len(MARKERS)] if few else "", markersize=3.5,
    )  # fmt: skip
    if curve.low is not None and curve.high is not None:
        low, high = (np.asarray(values, float)[order] for values in (curve.low, curve.high))
        axes.fill_between(x, low, high, color=colour, alpha=shade, linewidth=0)


def _ticks(axes: Axes, places: Sequence[float], logarithmic: bool, whole: bool) -> None:
    """Put ticks where the points are, as long as that is legible."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    if whole and len(places) <= 10 and not logarithmic:
        axes.set_xticks(places)
    elif whole and not logarithmic:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if logarithmic:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axes.xaxis.set_minor_locator(NullLocator())


def loss_curves(losses: Mapping[str, Sequence[float]]) -> list[Curve]:
    """Return a curve for each training: the mean loss of each epoch, counted from 1."""
    return [Curve(name, range(1, len(values) + 1), values) for name, values in losses.items()]
