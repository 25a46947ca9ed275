"""What trainers need besides their vectors, as measured: benchmarks/memory.py checks it against what they take."""

from __future__ import annotations

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.engines.engine import Engine
from embedkit.memory import available_bytes, check_fits, smaller

WORKING = 48 << 20  # compiled kernels, threads, blocks that are worked on
_BYTES_A_TOKEN = 40  # of the vocabulary: what is drawn from, and what it is made of
_BYTES_AN_INTERACTION = 55  # while those of a row and a token are brought together


def of_drawing(n_tokens: int) -> int:
    """Return the bytes that go with vectors that are learned from drawn noise."""
    return WORKING + _BYTES_A_TOKEN * n_tokens


def of_interactions(n: int) -> int:
    """Return the bytes that it takes to bring n interactions into a matrix."""
    return WORKING + _BYTES_AN_INTERACTION * n


def n_interactions(corpus: Corpus, run: Run, *, touched: bool = False) -> int:
    """Return how many interactions are learned from: where a model grows, all that its histories hold with new ones.

    Parameters
    ----------
    touched
        Of a model that grows, count only histories of keys that have new sentences.
    """
    histories = None if run.start is None else corpus.histories()
    if histories is None or corpus.sentence_keys is None:
        return corpus.n_tokens
    lengths = np.diff(histories.indptr)
    if touched:
        owners = np.unique(corpus.sentence_keys)
        lengths = lengths[owners[owners >= 0]]
    nobodys = np.diff(corpus.offsets)[corpus.sentence_keys < 0]
    return int(lengths.sum() + nobodys.sum())


def check_parts(
    n_rows: int,
    size: int,
    tables: tuple[int, int],
    engine: Engine,
    what: str,
    *,
    more: int = 0,
    of_keys: int = 0,
    rest: int = WORKING,
) -> None:
    """Refuse to learn in partitions what does not fit here, before it is begun; tables are n_rows × (size + more).

    Parameters
    ----------
    tables
        How many float32 tables there are here, and how many a partition makes, which are here as well if the engine
        is this process.
    what
        What is learned: `vectors of 1,000 tokens`.
    more
        How many columns tables have besides.
    of_keys
        How many numbers of keys' vectors there are here for each column.
    rest
        Other bytes that are needed.
    """
    here, of_a_part = tables
    if engine.name == "local":
        here += of_a_part * max(engine.n_parts, engine.n_workers)
    a_number = 4 * (here * n_rows + of_keys)
    rest += a_number * more
    available = available_bytes()
    fits = 0 if available is None else max(0, (available - rest) // a_number)
    check_fits(
        a_number * size + rest,
        f"{what} × {size:,} in partitions",
        smaller(fits, "take fewer tokens by a higher --min-count"),
    )


def check_part(n_bytes: int, what: str) -> None:
    """Refuse work on a partition that does not fit where it is done."""
    check_fits(n_bytes, f"{what} of a partition", "lower --vector-size, or take more --partitions")


def n_rows(corpus: Corpus) -> int:
    """Return how many rows that matrix has, about: keys, sentences where there are none."""
    return corpus.n_sentences if corpus.keys is None else len(corpus.keys)
