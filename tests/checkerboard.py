"""The checkerboard: even users like even items, odd users odd ones, and each user's own item is held back."""

from itertools import product

import pytest

import embedkit

SIZE = 20
SIZES, ORDERS = range(2, 9), range(5)
GRID = [
    pytest.param(size, order, marks=[] if order == size % len(ORDERS) else pytest.mark.slow)
    for size, order in product(SIZES, ORDERS)
]
"""Sizes of vectors, with orders to turn histories by: each size with one order, the others in the slow pass."""


def checkerboard(order: int = 0) -> embedkit.Corpus:
    """Return the corpus in which user u likes every item of its parity but item u; `order` turns the histories."""
    sentences = []
    for user in range(SIZE):
        liked = [item for item in range(user % 2, SIZE, 2) if item != user]
        turn = order % len(liked)
        sentences.append(embedkit.Sentence([f"item{i}" for i in liked[turn:] + liked[:turn]], key=f"user{user}"))
    return embedkit.Corpus.from_sentences(sentences)


def misses(embeddings: embedkit.Embeddings) -> list[str]:
    """Return the users to whom another item than the one held back is recommended first."""
    first = embeddings.recommend([f"user{u}" for u in range(SIZE)], topn=1)
    return [key for key, token in zip(first["key"], first["token"], strict=True) if key[4:] != token[4:]]
