"""Evaluations as a person and as a program read them: a table for each k, JSON, CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from embedkit.cli.text import pad, shorten, visible, width

if TYPE_CHECKING:
    from embedkit.evaluation import Band, Evaluation

FORMATS = ("table", "json", "csv")
SHOWN = {
    "recall": "recall",
    "precision": "prec",
    "hit_rate": "hit",
    "ndcg": "ndcg",
    "mrr": "mrr",
    "map": "map",
    "coverage": "cover",
    "popularity_bias": "pop",
}
_GAP = 2
_FORMULA = frozenset("=+-@\t\r")


def decimals(value: float, signed: bool = False) -> str:
    """Return `.1926`, `1.000`, `+.0123`; a dash where there is no number."""
    if math.isnan(value):
        return "-"
    text = f"{value:+.4f}" if signed else f"{value:.4f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 and not text.lstrip("+-").startswith("1") else text[:-1]


def table_lines(evaluations: Sequence[Evaluation], main: str, columns: int) -> list[str]:
    """Return a table for each k: systems in rows, measures in columns, the main one with half of its interval."""
    lines: list[str] = []
    for k in evaluations[0].cutoffs:
        measures = [name for name in SHOWN if any(f"{name}@{k}" in e.totals for e in evaluations)]
        header = [f"@{k}", *(SHOWN[name] for name in measures)]
        rows = [[visible(e.name), *(_cell(e, name, k, main) for name in measures)] for e in evaluations]
        lines += [*([""] if lines else []), *_aligned([header, *rows], columns)]
    return lines


def _cell(evaluation: Evaluation, name: str, k: int, main: str) -> str:
    measure = f"{name}@{k}"
    text = decimals(evaluation.totals.get(measure, math.nan), signed=name == "popularity_bias")
    if name != main:
        return text
    return f"{text} ±{decimals(evaluation.intervals[measure].half_width)}"


def _aligned(rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    """Return rows with the first column on the left, shortened to leave room for the numbers on the right."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    room = columns - sum(widths[1:]) - _GAP * (len(widths) - 1)
    widths[0] = max(min(widths[0], room), min(widths[0], 8))
    lines = []
    for first, *rest in rows:
        cells = [pad(shorten(first, widths[0]), widths[0])]
        cells += [pad(cell, w, right=True) for cell, w in zip(rest, widths[1:], strict=True)]
        lines.append((" " * _GAP).join(cells).rstrip())
    return lines


def as_json(evaluations: Sequence[Evaluation], left_out: Mapping[str, str]) -> str:
    """Return all measures of all systems, each with its interval, their recall by popularity, and what was met."""
    systems = [
        {
            "name": e.name,
            "seconds": round(e.seconds, 3),
            "test": dict(e.counts),
            "measures": {name: _measure(e, name) for name in e.totals},
            "by_popularity": {str(k): [_band(band) for band in bands] for k, bands in e.by_popularity.items()},
        }
        for e in evaluations
    ]
    return json.dumps({"systems": systems, "left_out": dict(left_out)}, ensure_ascii=False, indent=1, allow_nan=False)


def _band(band: Band) -> dict[str, float]:
    """Return how well tokens of like popularity are found."""
    recall, low, high = band.recall
    return {**band._asdict(), "recall": recall, "low": low, "high": high}


def _measure(evaluation: Evaluation, name: str) -> dict[str, float | None]:
    result = {"value": _number(evaluation.totals[name])}
    if name in evaluation.intervals:
        interval = evaluation.intervals[name]
        result |= {"low": _number(interval.low), "high": _number(interval.high)}
    return result


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def as_csv(evaluations: Sequence[Evaluation]) -> str:
    """Return a row for each system and k; `..._low` and `..._high` are the ends of the 95% interval."""
    text = io.StringIO()
    rows = list(_rows(evaluations))
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _rows(evaluations: Sequence[Evaluation]) -> Iterator[dict[str, Any]]:
    for e in evaluations:
        for k in e.cutoffs:
            name = f"'{e.name}" if e.name[:1] in _FORMULA else e.name
            row: dict[str, Any] = {"system": name, "k": k, "rows": len(e.rows)}
            for measure in SHOWN:
                if f"{measure}@{k}" in e.totals:
                    found = _measure(e, f"{measure}@{k}")
                    row |= {measure if part == "value" else f"{measure}_{part}": value for part, value in found.items()}
            yield row
