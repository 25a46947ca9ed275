"""How embeddings show themselves in a notebook, and as a table for pandas."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

import numpy as np

from embedkit.errors import EmbedkitError, OptionError
from embedkit.scoring import normalized

if TYPE_CHECKING:
    import pandas as pd

    from embedkit.embeddings.named_vectors import NamedVectors

_ROWS = 8
_POINTS = 300  # of the first tokens, which are the most frequent
_NAMED = 14
_WIDTH, _HEIGHT, _MARGIN = 420, 260, 14
_LETTER = 6.2  # pixels a letter of the map takes
_LINE = 12
_LONGEST = 24


def frame(embeddings: NamedVectors, which: str) -> pd.DataFrame:
    """Return vectors as a table; `NamedVectors.to_frame` is this."""
    import pandas as pd

    choices = {"vectors": embeddings.vectors, "context_vectors": embeddings.context_vectors}
    choices["keys"] = embeddings.key_vectors
    if which not in choices:
        raise OptionError("which", f"must be one of {', '.join(map(repr, choices))}; got {which!r}.")
    vectors = choices[which]
    if vectors is None:
        what = "vectors of keys: ask for key_queries, or recommend" if which == "keys" else "context vectors"
        raise EmbedkitError(f"this model has no {what}.")
    names = embeddings.keys if which == "keys" else embeddings.tokens
    index = pd.Index(list(names or ()), name="key" if which == "keys" else "token", dtype=object)
    columns = [f"v{i}" for i in range(vectors.shape[1])]
    return pd.DataFrame(np.array(vectors), index=index, columns=columns)


def html(embeddings: NamedVectors) -> str:
    """Return a heading, a table of the first tokens and a map of the first few hundred, without any script."""
    parts = [f"<p><code>{escape(repr(embeddings))}</code></p>"]
    if len(embeddings):
        parts += [_table(embeddings), _map(embeddings)]
    return f'<div style="overflow-x:auto">{"".join(parts)}</div>'


def _table(embeddings: NamedVectors) -> str:
    columns: dict[str, list[str]] = {"token": embeddings.tokens[:_ROWS]}
    if embeddings.labels is not None:
        columns["label"] = embeddings.labels[:_ROWS]
    if embeddings.counts is not None:
        columns["count"] = [f"{count:,}" for count in embeddings.counts[:_ROWS].tolist()]
    columns["vector"] = [_numbers(row) for row in embeddings.vectors[:_ROWS]]
    head = "".join(f"<th>{name}</th>" for name in columns)
    rows = ["".join(f"<td>{_shown(cell)}</td>" for cell in row) for row in zip(*columns.values(), strict=True)]
    if len(embeddings) > _ROWS:
        rows.append(f'<td colspan="{len(columns)}">and {len(embeddings) - _ROWS:,} more</td>')
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _numbers(row: np.ndarray) -> str:
    return " ".join(f"{number:.2g}" for number in row[:4].tolist()) + (" …" if len(row) > 4 else "")


def _shown(text: str) -> str:
    """Return a stranger's text as it can stand in a page: short, escaped, without what would move the others."""
    visible = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[: _LONGEST + 1])
    return escape(visible if len(visible) <= _LONGEST else visible[: _LONGEST - 1] + "…")


def _map(embeddings: NamedVectors) -> str:
    """Return an SVG of the two principal components of the first tokens' directions; some of them are named."""
    x, y = _places(np.asarray(embeddings.vectors[:_POINTS]))
    dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2"/>' for a, b in zip(x, y, strict=True))
    names, taken = [], list[tuple[float, float, float, float]]()
    for i in range(len(x)):
        name = (embeddings.labels[i] if embeddings.labels is not None else "") or embeddings.tokens[i]
        text = _shown(name)
        left, right = x[i] + 4, x[i] + 4 + _LETTER * _letters(name[:_LONGEST])
        box = left, y[i] - _LINE / 2, right, y[i] + _LINE / 2
        if right < _WIDTH and not any(_overlap(box, other) for other in taken):
            taken.append(box)
            names.append(f'<text x="{left:.1f}" y="{y[i] + 3:.1f}">{text}</text>')
        if len(names) == _NAMED:
            break
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="Map of {len(x)} tokens" style="max-width:100%">'
        f'<g fill="currentColor" fill-opacity=".35">{dots}</g>'
        f'<g fill="currentColor" font-family="sans-serif" font-size="10">{"".join(names)}</g></svg>'
    )


def _places(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (n) across and down; what is not finite lies in the middle."""
    units = np.nan_to_num(normalized(np.nan_to_num(vectors, posinf=0, neginf=0)))
    units = units - units.mean(axis=0)
    _, axes = np.linalg.eigh(units.T @ units)
    flat = units @ axes[:, ::-1][:, :2]
    if flat.shape[1] < 2:
        flat = np.column_stack((flat, np.zeros(len(flat), np.float32)))
    flat *= np.where(flat.sum(axis=0) < 0, -1, 1)  # eigenvectors have no sign of their own
    least, most = flat.min(axis=0), flat.max(axis=0)
    flat = (flat - (least + most) / 2) / np.where(most > least, most - least, 1)
    size = np.array([_WIDTH, _HEIGHT])
    return tuple((size / 2 + flat * (size - 2 * _MARGIN)).T)


def _letters(name: str) -> int:
    """Return how many letters wide a name is; those of East Asia are twice as wide as others."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in name)


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
