"""From embeddings to a format or a store: which vectors, whether they are sound, what is left out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from embedkit.contracts import Exporter, Run
from embedkit.embeddings.embeddings import Embeddings
from embedkit.embeddings.importing.rows import Rows, first_not_finite
from embedkit.errors import EmbedkitError, OptionError
from embedkit.options import build
from embedkit.plugins import Plugins, load_plugins

Which = Literal["input", "context", "keys"]
_KEYS = 1 << 12  # whose vectors are built at a time


class Notes(Run):
    """Keeps what an exporter says.

    Attributes
    ----------
    lines
        A line about each thing that was left out or changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        """Keep one line."""
        self.lines.append(message)


def export(
    embeddings: Embeddings,
    form: str,
    target: str | os.PathLike[str],
    options: Mapping[str, Any],
    *,
    vectors: Which = "input",
    run: Run | None = None,
    plugins: Plugins | None = None,
) -> int:
    """Write vectors in a format, or to a store, that an exporter is registered for; `Embeddings.export` is this.

    Parameters
    ----------
    form
        The exporter's name.
    target
        A file, a folder or a URL.
    options
        The exporter's options.
    vectors
        Which: the tokens' input side, their context side, or those of keys (learned, or built of histories).
    run
        Is told what is left out, and how far it is.

    Returns
    -------
    int
        How many vectors were written.

    Raises
    ------
    UnknownNameError
        If there is no such format, with the nearest.
    OptionError
        For an option that the format has not, or a value that it does not take.
    EmbedkitError
        If the model has no such vectors, they are not finite, the format cannot hold them, or the target cannot be
        written.
    """
    exporter = (plugins or load_plugins()).exporter(form)()
    checked = build(exporter.Options, options)
    exporter.run = run or Run()
    exporter.vectors = vectors
    chosen, without = select(embeddings, vectors)
    bad = first_not_finite(chosen.vectors)
    if bad >= 0:
        raise EmbedkitError(f"the vector of {chosen.tokens[bad]!r} is not finite; train or import the model again.")
    exporter.write(chosen, os.fspath(target), checked)
    parts = [f"{without:,} keys without a history"] if without else []
    if parts := [*parts, *left_out(embeddings, exporter)]:
        exporter.run.say(f"Left out: {', '.join(parts)}.")
    return len(chosen)


def select(embeddings: Embeddings, which: str) -> tuple[Embeddings, int]:
    """Return embeddings whose tokens and vectors are the chosen ones, and how many keys have no vector.

    Raises
    ------
    OptionError
        If the model has none of that kind.
    """
    if which not in get_args(Which):
        raise OptionError("vectors", f"must be one of {', '.join(get_args(Which))}; got {which!r}.")
    about = {name: embeddings.config[name] for name in ("trainer", "imported") if name in embeddings.config}
    if which == "keys":
        return _of_keys(embeddings, about)
    vectors = embeddings.vectors if which == "input" else embeddings.context_vectors
    if vectors is None:
        raise OptionError("vectors", "context: this model has none, its vectors serve for both sides; leave it out.")
    return Embeddings(
        embeddings.tokens, vectors, counts=embeddings.counts, labels=embeddings.labels, config=about
    ), 0  # fmt: skip


def _of_keys(embeddings: Embeddings, about: Mapping[str, Any]) -> tuple[Embeddings, int]:
    """Return the learned vectors of keys, else the queries that are built of their histories, in a temporary file."""
    if embeddings.keys is None:
        raise OptionError("vectors", "keys: this model was learned from sentences that belong to nobody.")
    if embeddings.key_vectors is not None:
        return Embeddings(embeddings.keys, embeddings.key_vectors, config=about), 0
    assert embeddings.histories is not None or not len(embeddings.keys)
    known = (
        np.flatnonzero(np.diff(embeddings.histories.indptr)) if embeddings.histories is not None else np.empty(0, int)
    )
    if not len(known):
        raise OptionError("vectors", "keys: none of this model's keys has a vector or a history.")
    with Rows() as rows:
        for start in range(0, len(known), _KEYS):
            rows.append(embeddings.key_queries(known[start : start + _KEYS]))
        built = rows.matrix()
    names = embeddings.keys if len(known) == len(embeddings.keys) else embeddings.keys.take(known)
    return Embeddings(names, built, config=about), len(embeddings.keys) - len(known)


def left_out(embeddings: Embeddings, exporter: Exporter) -> list[str]:
    """Return what the model has and the export has not, in words."""
    which, parts = exporter.vectors, []
    if which != "input":
        parts.append("input vectors")
    if which != "context" and embeddings.context_vectors is not None:
        parts.append("context vectors")
    if embeddings.keys is not None and len(embeddings.keys):
        of_keys = f"of {len(embeddings.keys):,} keys"
        if which != "keys" and embeddings.key_vectors is not None:
            parts.append(f"vectors {of_keys}")
        if embeddings.histories is not None:
            parts.append(f"histories {of_keys}")
    for name in ("labels", "counts"):
        if getattr(embeddings, name) is not None and (which == "keys" or name not in exporter.keeps):
            parts.append(name)
    if embeddings.subwords is not None:
        parts.append("subwords (no vector for words outside of the vocabulary)")
    return parts
