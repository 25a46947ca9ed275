"""Counting what occurs near what in the partitions of a corpus, and adding the counts up here, as a tree."""

from __future__ import annotations

from typing import Literal

import numpy as np

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.corpus.cooccurrence import Cooccurrences, Weighting, count_cooccurrences
from embedkit.corpus.partitioned import PartitionedCorpus
from embedkit.trainers.machinery.crew import Crew

Counts = tuple[np.ndarray, np.ndarray, np.ndarray]  # indptr, indices, counts of compressed rows


def count_parts(
    corpus: PartitionedCorpus,
    window: int | Literal["sentence"],
    weighting: Weighting,
    threads: int | None,
    run: Run,
) -> Cooccurrences:
    """Count as `count_cooccurrences` does, each partition where it lies; the sums come here and must fit."""
    engine = corpus.engine

    def told(done: int, total: int) -> None:
        run.progress(done, total, unit="partitions counted")

    made = engine.reduce(_count, corpus.parts, _sum, window, weighting, threads or engine.threads, told=told)
    return Cooccurrences(*made)


def _count(corpus: Corpus, window: int | Literal["sentence"], weighting: Weighting, threads: int) -> Counts:
    if int(np.diff(corpus.offsets).max(initial=0)) < 2:
        nothing = np.zeros(len(corpus.tokens) + 1, np.int64)
        return nothing, np.zeros(0, np.int32), np.zeros(0, np.float32)
    with Crew(threads) as crew:
        counts = count_cooccurrences(corpus, window, weighting, crew)
    return counts.indptr, np.array(counts.indices), np.array(counts.counts)


def _sum(one: Counts, other: Counts) -> Counts:
    from scipy.sparse import csr_matrix

    n = len(one[0]) - 1
    both = csr_matrix(one[::-1], (n, n)) + csr_matrix(other[::-1], (n, n))
    return both.indptr.astype(np.int64), both.indices.astype(np.int32), both.data
