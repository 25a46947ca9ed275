"""What trainers need besides their vectors, as measured: benchmarks/memory.py checks it against what they take."""

from __future__ import annotations

from embedkit.corpus import Corpus

WORKING = 48 << 20  # compiled kernels, threads, blocks that are worked on
_BYTES_A_TOKEN = 40  # of the vocabulary: what is drawn from, and what it is made of
_BYTES_AN_INTERACTION = 55  # while those of a row and a token are brought together


def of_drawing(n_tokens: int) -> int:
    """Return the bytes that go with vectors that are learned from drawn noise."""
    return WORKING + _BYTES_A_TOKEN * n_tokens


def of_interactions(corpus: Corpus) -> int:
    """Return the bytes that it takes to bring interactions into a matrix."""
    return WORKING + _BYTES_AN_INTERACTION * corpus.n_tokens


def n_rows(corpus: Corpus) -> int:
    """Return how many rows that matrix has, about: keys, sentences where there are none."""
    return corpus.n_sentences if corpus.keys is None else len(corpus.keys)
