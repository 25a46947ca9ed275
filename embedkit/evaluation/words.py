"""Word tests: analogy questions and human judgements of similarity, in the files they are published in."""

from __future__ import annotations

import math
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
        Pairs in the file, and those with a vector for both words.
    built
        Covered pairs of which a word is not in the vocabulary, and its vector built of its subwords.
    """

    spearman: float
    pairs: int
    covered: int
    built: int = 0


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
    """Compare cosines with human judgements: a file of lines `word, word, score`, parted by tabs, commas or spaces.

    The score is the first number behind the two words (SimLex-999 has a part of speech between them). A first line
    without a number there is taken for a header. A model with subwords has vectors for unknown words too.
    """
    from scipy.stats import spearmanr

    pairs, judged = _read_pairs(Path(path))
    ids = _positions(embeddings, pairs, len(embeddings))
    words, unit = _vectors_of_unknown(embeddings, pairs, ids)
    covered = ((ids >= 0) | words).all(axis=1)
    n_built = int((words.any(axis=1) & covered).sum())
    cosines = np.einsum("ij,ij->i", unit[covered, 0], unit[covered, 1])
    if covered.sum() < 2 or not np.ptp(cosines) or not np.ptp(judged[covered]):
        return SimilarityScore(float("nan"), len(pairs), int(covered.sum()), n_built)
    return SimilarityScore(float(spearmanr(cosines, judged[covered])[0]), len(pairs), int(covered.sum()), n_built)


def _vectors_of_unknown(
    embeddings: Embeddings, pairs: Sequence[Sequence[str]], ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which words of the pairs (n × 2) have vectors built of subwords, and unit vectors of all (n × 2 × d)."""
    vectors = np.zeros((*ids.shape, embeddings.vector_size), np.float32)
    vectors[ids >= 0] = embeddings.vectors[ids[ids >= 0]]
    built = np.zeros(ids.shape, bool)
    for row, side in np.argwhere(ids < 0).tolist() if embeddings.subwords is not None else ():
        vector = embeddings.subwords.build(pairs[row][side]) if embeddings.subwords is not None else None
        if vector is not None:
            vectors[row, side], built[row, side] = vector, True
    return built, _unit_rows(vectors)


def _unit_rows(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
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
    column = None
    for number, line in _lines(path):
        fields = _fields(line)
        if len(fields) < 3:
            raise SourceError(f"{path} line {number} has {len(fields)} fields; a pair has three: word, word, score.")
        if column is None:
            column = next((i for i, field in enumerate(fields[2:], 2) if _is_number(field)), None)
        if column is None and number == 1:
            continue
        place = 2 if column is None else column
        if place >= len(fields) or not _is_number(fields[place]):
            shown = fields[place] if place < len(fields) else ""
            raise SourceError(f"{path} line {number}: the score {shown!r} is no number.")
        judged.append(float(fields[place]))
        pairs.append(fields[:2])
    if not pairs:
        raise SourceError(f"{path} holds no pair; each line needs: word, word, score.")
    return pairs, np.array(judged)


def _fields(line: str) -> list[str]:
    """Return the fields of a line, parted by tabs, else commas; else by spaces where a number follows two words."""
    for mark in ("\t", ","):
        if mark in line:
            return [field.strip() for field in line.split(mark)]
    words = line.split()
    return words if any(map(_is_number, words[2:])) else [line]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
