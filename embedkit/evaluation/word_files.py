"""Word tests by file: what is in it tells which test it is."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from embedkit.embeddings import Embeddings
from embedkit.errors import SourceError
from embedkit.evaluation.lines import lines_of
from embedkit.evaluation.words import AnalogyScore, SimilarityScore, analogies, similarities


def holds_analogies(path: str | Path) -> bool:
    """Return whether a file holds analogy questions: it begins with `: section`, or with four words and no score.

    Raises
    ------
    SourceError
        If it cannot be read, or is empty.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise SourceError(f"{path} is no regular file; save the test as one, as it is read more than once.")
    with closing(lines_of(path)) as lines:
        first = next((line.strip() for _, line in lines), "")
    if not first:
        raise SourceError(f"{path} is empty; it needs questions (a b c d) or pairs (word, word, score).")
    if first.startswith(":") or "\t" in first or "," in first:
        return first.startswith(":")
    words = first.split()
    return len(words) == 4 and not any(word.replace(".", "", 1).isdigit() for word in words[2:])


def word_test(
    embeddings: Embeddings, path: str | Path, *, restrict_vocab: int | None = 30_000
) -> list[AnalogyScore] | SimilarityScore:
    """Run the test that a file holds: analogies (a score a section) or similarities."""
    if holds_analogies(path):
        return analogies(embeddings, path, restrict_vocab=restrict_vocab)
    return similarities(embeddings, path)
