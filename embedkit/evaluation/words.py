"""Word tests: analogy questions and human judgements of similarity, in the files they are published in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embedkit.embeddings import Embeddings
from embedkit.errors import SourceError

_BLOCK = 1024


@dataclass(frozen=True)
class AnalogyScore:
    """How many questions of a section were answered, and how many of those rightly.

    Attributes
    ----------
    section
        The section's name.
    asked, covered, right
        Questions in the file, with all four words in the vocabulary, and answered rightly.
    """

    section: str
    asked: int
    covered: int
    right: int

    @property
    def accuracy(self) -> float:
        """The share of covered questions answered rightly, 0 to 1; NaN where none is covered."""
        return self.right / self.covered if self.covered else float("nan")


@dataclass(frozen=True)
class SimilarityScore:
    """How well cosines agree with human judgements.

    Attributes
    ----------
    spearman
        Spearman's rank correlation over the covered pairs; NaN for fewer than two.
    pairs, covered
        Pairs in the file, and with both words in the vocabulary.
    """

    spearman: float
    pairs: int
    covered: int


def analogies(embeddings: Embeddings, path: str | Path, *, restrict_vocab: int | None = 30_000) -> list[AnalogyScore]:
    """Answer analogy questions by 3CosAdd (Mikolov et al. 2013, arXiv 1301.3781), the questions' words left out.

    Parameters
    ----------
    path
        A file of lines `a b c d` (a is to b as c is to d) in sections that begin with `: name`.
    restrict_vocab
        Only so many of the most frequent tokens are asked for and answered with; None takes all.

    Returns
    -------
    One score for each section, in the order of the file. Words are looked up as they stand, then in lower case.
    """
    n = min(len(embeddings), restrict_vocab or len(embeddings))
    unit = _unit_rows(np.asarray(embeddings.vectors[:n], np.float32))
    scores = []
    for section, questions in _read_sections(Path(path)):
        ids = _positions(embeddings, questions, n)
        covered = ids[(ids >= 0).all(axis=1)]
        right = sum(_count_right(unit, covered[i : i + _BLOCK]) for i in range(0, len(covered), _BLOCK))
        scores.append(AnalogyScore(section, len(questions), len(covered), right))
    return scores


def _count_right(unit: np.ndarray, questions: np.ndarray) -> int:
    a, b, c, d = questions.T
    scores = (unit[b] - unit[a] + unit[c]) @ unit.T
    rows = np.arange(len(questions))
    for given in (a, b, c):
        scores[rows, given] = -np.inf
    return int((scores.argmax(axis=1) == d).sum())


def similarities(embeddings: Embeddings, path: str | Path) -> SimilarityScore:
    """Compare cosines with human judgements: a file of lines `word, word, score`, parted by tabs or commas.

    A first line whose last field is no number is taken for a header.
    """
    from scipy.stats import spearmanr

    pairs, judged = _read_pairs(Path(path))
    ids = _positions(embeddings, pairs, len(embeddings))
    covered = (ids >= 0).all(axis=1)
    if covered.sum() < 2:
        return SimilarityScore(float("nan"), len(pairs), int(covered.sum()))
    left, right = (_unit_rows(np.asarray(embeddings.vectors[ids[covered, side]], np.float32)) for side in (0, 1))
    cosines = np.einsum("ij,ij->i", left, right)
    return SimilarityScore(float(spearmanr(cosines, judged[covered])[0]), len(pairs), int(covered.sum()))


def _unit_rows(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def _positions(embeddings: Embeddings, rows: Sequence[Sequence[str]], n: int) -> np.ndarray:
    """Return the int64 positions (len(rows) × words a row) of words among the first n tokens, else -1."""
    words = sorted({word for row in rows for word in row})
    found = embeddings.tokens.find_all(words)
    lower = embeddings.tokens.find_all([word.lower() for word in words])
    best = np.where(found >= 0, found, lower)
    best[best >= n] = -1
    position = dict(zip(words, best.tolist(), strict=True))
    width = len(rows[0]) if rows else 4
    return np.array([[position[word] for word in row] for row in rows], np.int64).reshape(-1, width)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line.strip()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}; check the path.") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8; save it as UTF-8.") from error


def _read_sections(path: Path) -> list[tuple[str, list[list[str]]]]:
    sections: list[tuple[str, list[list[str]]]] = []
    for number, line in _lines(path):
        if line.startswith(":"):
            sections.append((line[1:].strip(), []))
            continue
        words = line.split()
        if len(words) != 4:
            raise SourceError(f"{path} line {number} has {len(words)} words; a question has four: a b c d.")
        if not sections:
            sections.append(("all", []))
        sections[-1][1].append(words)
    if not any(questions for _, questions in sections):
        raise SourceError(f"{path} holds no question; each line needs four words: a b c d.")
    return sections


def _read_pairs(path: Path) -> tuple[list[list[str]], np.ndarray]:
    pairs: list[list[str]] = []
    judged: list[float] = []
    for number, line in _lines(path):
        fields = [f.strip() for f in line.split("\t" if "\t" in line else ",")]
        if len(fields) < 3:
            raise SourceError(f"{path} line {number} has {len(fields)} fields; a pair has three: word, word, score.")
        try:
            judged.append(float(fields[2]))
        except ValueError:
            if number == 1:
                continue
            raise SourceError(f"{path} line {number}: the score {fields[2]!r} is no number.") from None
        pairs.append(fields[:2])
    if not pairs:
        raise SourceError(f"{path} holds no pair; each line needs: word, word, score.")
    return pairs, np.array(judged)
