"""From interactions to sentences: read and numbered, grouped by user, ordered by time, split at gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedkit import EmptyInputError, SentenceBatch
from embedkit_sessions import tables, values
from embedkit_sessions.findings import Findings
from embedkit_sessions.grouping import Block, Rows, grouped
from embedkit_sessions.ids import canonical, refuse_nul
from embedkit_sessions.inputs import Inputs
from embedkit_sessions.reading import Reader

if TYPE_CHECKING:
    from embedkit_sessions.source import Options


def read_sessions(inputs: Inputs, options: Options, folder: Path, findings: Findings) -> Iterator[SentenceBatch]:
    """Yield the sessions of all users, in the order in which users are first met.

    Parameters
    ----------
    folder
        An empty folder for temporary files, to be removed by the caller.
    findings
        Filled with what was left out, and with what was found out about the input.

    Raises
    ------
    SourceError
        If the input is damaged, or nothing of it is left.
    """
    reader = Reader(options, folder, findings)
    with tables.connect(folder) as connection:
        reader.read(connection, inputs)
    user_ids, users = canonical(reader.users.values)
    item_ids, items = canonical(reader.items.values)
    refuse_nul(user_ids, "the column of users")
    refuse_nul(item_ids, "the column of items")
    users, items = np.append(users, np.int32(-1)), np.append(items, np.int32(-1))
    counts = _count(reader.rows, users, items, len(user_ids), findings.dropped)
    keep = counts >= options.min_interactions
    few = int(counts[~keep].sum())
    if few:
        findings.dropped[f"rows of users with fewer than {options.min_interactions} interactions"] += few
    if few == counts.sum():
        left_out = ", ".join(f"{reason}: {n:,}" for reason, n in findings.dropped.items()) or "it has no rows"
        raise EmptyInputError(f"nothing is left of the input: {left_out}.")
    gap = values.duration(options.session_gap) if options.session_gap is not None else None
    for block in grouped(reader.rows, counts, keep, items, users):
        yield _batch(block, user_ids, item_ids, gap)


def _count(rows: Rows, users: np.ndarray, items: np.ndarray, n_users: int, dropped: Counter[str]) -> np.ndarray:
    """Return how many rows each user has, counting the rows that lack a user or an item as dropped."""
    counts = np.zeros(n_users, np.int64)
    for block in rows.blocks():
        user, item = users[block.users], items[block.items]
        for reason, bad in (("rows without a user", user < 0), ("rows without an item", (user >= 0) & (item < 0))):
            if number := int(np.count_nonzero(bad)):
                dropped[reason] += number
        counts += np.bincount(user[(user >= 0) & (item >= 0)], minlength=n_users)
    return counts


def _batch(block: Block, user_ids: pa.Array, item_ids: pa.Array, gap: int | None) -> SentenceBatch:
    """Return ordered rows as sentences: a new one where the user changes, or pauses for longer than `gap`."""
    begins = np.flatnonzero(_begins(block, gap))
    offsets = np.append(begins, len(block)).astype(np.int64)
    items, dictionary = block.items, item_ids
    if len(item_ids) > len(block):
        present, items = np.unique(items, return_inverse=True)
        dictionary = item_ids.take(pa.array(present))
    tokens = pa.DictionaryArray.from_arrays(pa.array(items.astype(np.int32, copy=False)), dictionary)
    keys = pc.take(user_ids, pa.array(block.users[begins]))
    return SentenceBatch(tokens, offsets, keys, block.weights, block.times)


def _begins(block: Block, gap: int | None) -> np.ndarray:
    begins = np.ones(len(block), bool)
    begins[1:] = block.users[1:] != block.users[:-1]
    if gap is not None and block.times is not None:
        # As unsigned numbers the difference of any two times in order fits.
        pause = block.times[1:].astype(np.uint64) - block.times[:-1].astype(np.uint64)
        begins[1:] |= pause > np.uint64(gap)
    return begins
