"""Collects edges batch by batch: nodes become numbers, weights are checked, what is missing is counted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedkit import SourceError
from embedkit_graph.graph import Edges

_FEW = 1 << 20


class EdgeCollector:
    """Edges with nodes by name, in memory that grows with nodes and edges but not with the length of the text."""

    def __init__(self, dropped: Counter[str]) -> None:
        self.dropped = dropped
        self._names = pa.array([], pa.large_string())
        self._numbered: list[np.ndarray] = []
        self._pending: list[pa.DictionaryArray] = []
        self._n_pending = 0
        self._weights: list[np.ndarray] = []
        self._rows = 0

    def add(self, name: str, sources: pa.Array, targets: pa.Array, weights: pa.Array | None) -> None:
        """Take edges: two columns of text, and one of weights as text or numbers.

        Parameters
        ----------
        name
            What messages call the input.

        Raises
        ------
        SourceError
            For a weight that is negative, missing or no number.
        """
        if bool(self._weights) != (weights is not None) and self._rows:
            raise SourceError(f"{name} has weights and the input before it has none, or the reverse; read them apart.")
        missing = pc.or_(_is_missing(sources), _is_missing(targets))
        if n_missing := pc.sum(missing).as_py():
            kept = pc.invert(missing)
            self.dropped["rows without one of the two nodes"] += n_missing
            sources, targets = sources.filter(kept), targets.filter(kept)
            weights = None if weights is None else weights.filter(kept)
        before, self._rows = self._rows, self._rows + len(sources)
        if weights is not None:
            numbers = checked_weights(name, weights, before)
            positive = numbers > 0
            if not positive.all():
                self.dropped["edges of weight zero"] += int(np.count_nonzero(~positive))
                numbers, mask = numbers[positive], pa.array(positive)
                sources, targets = sources.filter(mask), targets.filter(mask)
            self._weights.append(numbers)
        ends = pa.concat_arrays([sources, targets]).dictionary_encode()
        self._pending.append(ends)
        self._n_pending += len(ends.dictionary)
        # As many new names as known ones at least, so that each name is numbered anew few times.
        if self._n_pending > max(_FEW, len(self._names)):
            self._number()

    def _number(self) -> None:
        """Give the pending names numbers, in the order in which they were first met."""
        local = [_canonical(ends.dictionary) for ends in self._pending]
        encoded = pa.concat_arrays([self._names, *local]).dictionary_encode()
        numbers = encoded.indices.to_numpy()
        at = len(self._names)
        for ends, names in zip(self._pending, local, strict=True):
            of_local = numbers[at : at + len(names)]
            self._numbered.append(of_local[ends.indices.to_numpy()].reshape(2, -1))
            at += len(names)
        self._names, self._pending, self._n_pending = encoded.dictionary, [], 0

    def finish(self) -> Edges:
        """Return all edges."""
        self._number()
        columns = [np.concatenate([part[i] for part in self._numbered]) for i in range(2)] if self._numbered else []
        sources, targets = columns or (np.empty(0, np.int32), np.empty(0, np.int32))
        weights = np.concatenate(self._weights) if self._weights else None
        return Edges(self._names, sources, targets, weights)


def _is_missing(column: pa.Array) -> pa.Array:
    return pc.or_kleene(pc.is_null(column), pc.fill_null(pc.equal(pc.utf8_trim_whitespace(column), ""), True))


def _canonical(names: pa.Array) -> pa.Array:
    """Return names without white space around them, in normal form C: two spellings of one name are one node."""
    return pc.utf8_normalize(pc.utf8_trim_whitespace(names), form="NFC").cast(pa.large_string())


def checked_weights(name: str, weights: pa.Array, before: int = 0) -> np.ndarray:
    """Return weights as float32, none of them negative.

    Parameters
    ----------
    before
        How many edges came before these, for the number of the edge in a message.

    Raises
    ------
    SourceError
        Naming the first weight that is negative, missing or no number.
    """
    if pa.types.is_string(weights.type) or pa.types.is_large_string(weights.type):
        weights = pc.utf8_trim_whitespace(weights)
        wrong = pc.invert(pc.match_substring_regex(weights, r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"))
        texts, weights = weights, pc.if_else(pc.fill_null(wrong, True), pa.scalar(None, weights.type), weights)
    else:
        texts = weights
    try:
        numbers = weights.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceError(f"{name}: its weights are {weights.type}, no numbers; name another column.") from error
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    bad = ~(np.isfinite(single) & (single >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        value = texts[row].as_py()
        raise SourceError(
            f"{name}, edge {before + row + 1:,}: weight {value!r} is no finite number of at least zero; mend it, or "
            "leave weights out with --no-weighted."
        )
    return single
