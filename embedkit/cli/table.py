"""Rankings as a person reads them: aligned columns that fit the terminal, names beside ids, colours on a terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

import click

from embedkit.cli.rankings import Ranking, Reason
from embedkit.cli.text import pad, shorten, visible, width

_GAP = 2
_NARROWEST = 12
_REASONS_MARGIN = 7


def terminal_width() -> int:
    """Return how many columns there are to write in: the terminal's, 80 where there is none."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def wants_colours() -> bool:
    """Return whether standard output is a terminal whose user did not decline colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def ranking_lines(ranking: Ranking, columns: int, colours: bool = False) -> list[str]:
    """Return the lines that show one ranking: its query with the measure's name, then rank, token, name, score."""
    digits = 0 if ranking.measure == "count" else 2
    scores = [f"{score:,.{digits}f}" for score in ranking.scores]
    cells = [[str(rank) for rank in range(1, len(scores) + 1)], [visible(t) for t in ranking.tokens]]
    if ranking.labels is not None and any(ranking.labels):
        cells.append([visible(label) for label in ranking.labels])
    rights = [True] + [False] * (len(cells) - 1)
    score_width = max(map(len, [*scores, ranking.measure]))
    widths = fit([max(map(width, column), default=0) for column in cells], columns - score_width - 2 * _GAP)
    left = _GAP + sum(widths) + _GAP * (len(widths) - 1)
    lines = [_heading(ranking, left, score_width, columns, colours)]
    if not scores:
        lines.append("  (nothing)")
    for row, (score, values) in enumerate(zip(scores, zip(*cells, strict=True), strict=True)):
        shown = [pad(shorten(v, w), w, right) for v, w, right in zip(values, widths, rights, strict=True)]
        if len(shown) > 2:
            shown[1] = _styled(shown[1], colours, dim=True)
        gap = " " * _GAP
        lines.append(f"{gap}{gap.join(shown)}{gap}{pad(score, score_width, right=True)}")
        if ranking.because is not None:
            lines += _reasons(ranking.because[row], columns, colours)
    return lines


def _heading(ranking: Ranking, left: int, score_width: int, columns: int, colours: bool) -> str:
    """Return the query, and the measure above the scores; a long query pushes the measure aside."""
    query = (" " * _GAP).join(filter(None, dict.fromkeys((ranking.query, ranking.query_label))))
    query = shorten(visible(query), columns - score_width - _GAP)
    measure = pad(ranking.measure, score_width, right=True)
    return _styled(pad(query, left), colours, bold=True) + " " * _GAP + _styled(measure, colours, dim=True)


def _reasons(reasons: Sequence[Reason], columns: int, colours: bool) -> list[str]:
    parts = [f"{visible(reason.label or reason.token)} {reason.score:.2f}" for reason in reasons]
    parts = parts or ["nothing in the history"]
    lines = _in_lines(["because of " + parts[0], *parts[1:]], ", ", columns - _REASONS_MARGIN)
    return [_styled(shorten(" " * _REASONS_MARGIN + line, columns), colours, dim=True) for line in lines]


def _in_lines(parts: Sequence[str], glue: str, room: int) -> list[str]:
    """Return parts joined by `glue`, in lines no wider than `room` where no single part is wider."""
    lines = [parts[0]]
    end = glue.rstrip()
    for part in parts[1:]:
        longer = lines[-1] + glue + part
        if width(longer) + len(end) > room:
            lines[-1] += end
            lines.append(part)
        else:
            lines[-1] = longer
    return lines


def _styled(text: str, colours: bool, **style: bool) -> str:
    return click.style(text, **style) if colours else text


def fit(widths: Sequence[int], room: int) -> list[int]:
    """Return `widths` narrowed, the widest column first, until they and the gaps between them fit into `room`."""
    result = list(widths)
    room -= _GAP * (len(result) - 1)
    while sum(result) > room and max(result) > _NARROWEST:
        widest = max(range(len(result)), key=result.__getitem__)
        others = sum(result) - result[widest]
        second = max((w for i, w in enumerate(result) if i != widest), default=0)
        result[widest] = max(_NARROWEST, min(result[widest] - 1, max(room - others, second)))
    return result


def listing(rows: Sequence[Sequence[str]], columns: int | None = None) -> list[str]:
    """Return rows of text with their columns aligned and the last one cut where the terminal ends."""
    cells = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    gap = " " * _GAP
    lines = [gap.join(pad(cell, w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    return [shorten(line, columns) for line in lines] if columns else lines


def wrapped(rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    """Return rows of text with their columns aligned and the last one broken into lines that fit the terminal."""
    first = listing([row[:-1] for row in rows])
    margin = max(map(width, first)) + _GAP
    room = max(_NARROWEST, columns - margin)
    lines = []
    for start, row in zip(first, rows, strict=True):
        for part in _in_lines(visible(row[-1]).split(" "), " ", room):
            lines.append((pad(start, margin) + part).rstrip())
            start = ""
    return lines
