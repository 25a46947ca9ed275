"""Word tests as a person and as a program read them: a table with a column for each model, JSON, CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.cli.scores import decimals
from embedkit.cli.table import listing, terminal_width

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings

Row = dict[str, Any]


def rows_of(embeddings: Embeddings, model: Path, files: Iterable[Path], restrict_vocab: int) -> list[Row]:
    """Return what a model scores in each file: a row for each section and one for all of them, one for similarities."""
    from embedkit.evaluation.word_files import word_test
    from embedkit.evaluation.words import AnalogyScore, SimilarityScore

    rows = []
    for file in files:
        scores = word_test(embeddings, file, restrict_vocab=restrict_vocab)
        if isinstance(scores, SimilarityScore):
            rows.append(_row(model, file, "", "spearman", scores.spearman, scores.covered, scores.pairs, scores.built))
            continue
        total = AnalogyScore("all", *(sum(getattr(s, name) for s in scores) for name in ("asked", "covered", "right")))
        for s in [*scores, total] if len(scores) > 1 else scores:
            rows.append(_row(model, file, s.section, "accuracy", s.accuracy, s.covered, s.asked, 0))
    return rows


def _row(
    model: Path, file: Path, section: str, measure: str, value: float, covered: int, asked: int, built: int
) -> Row:
    return {
        "model": str(model), "file": str(file), "section": section, "measure": measure,
        "value": None if math.isnan(value) else value, "covered": covered, "asked": asked, "built": built,
    }  # fmt: skip


def as_json(rows: Sequence[Row]) -> str:
    """Return the rows as a list of objects."""
    return json.dumps(rows, ensure_ascii=False, indent=1, allow_nan=False)


def as_csv(rows: Sequence[Row]) -> str:
    """Return the rows under a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def table(rows: Sequence[Row]) -> list[str]:
    """Return a line for each file, and below it one for each section; several models stand side by side."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    several = len(models) > 1
    header = ["test", "measure", *([Path(model).stem for model in models] if several else ["value", "covered"])]
    by_place: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_place.setdefault((row["file"], row["section"]), []).append(row)
    cells = [header]
    for file in dict.fromkeys(row["file"] for row in rows):
        *sections, total = (found for (name, _), found in by_place.items() if name == file)
        cells.append([Path(file).name, *_cells(total, several)])
        cells += [[f"  {found[0]['section']}", *_cells(found, several)] for found in sections]
    return listing(cells, terminal_width())


def _cells(found: Sequence[Row], several: bool) -> list[str]:
    if several:
        return [found[0]["measure"], *(f"{_value(row)}{_share(row)}" for row in found)]
    (row,) = found
    built = f", {row['built']:,} of subwords" if row["built"] else ""
    return [row["measure"], _value(row), f"{row['covered']:,} of {row['asked']:,}{_share(row)}{built}"]


def _value(row: Row) -> str:
    return decimals(math.nan if row["value"] is None else row["value"])


def _share(row: Row) -> str:
    return f" ({row['covered'] / row['asked']:.0%})" if row["asked"] else ""
