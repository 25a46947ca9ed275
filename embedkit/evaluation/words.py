"""Word tests: analogy questions and human judgements of similarity, in the files they are published in."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embedkit.embeddings import Embeddings
from embedkit.errors import SourceError
from embedkit.evaluation.lines import Numbering, as_numbers, lines_of

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
    sections, words = _read_sections(Path(path))
    place = _positions(embeddings, words, n)
    for section, questions in sections:
        covered = right = 0
        for start in range(0, len(questions), _BLOCK):
            ids = place[questions[start : start + _BLOCK]]
            ids = ids[(ids >= 0).all(axis=1)]
            covered += len(ids)
            right += _count_right(unit, ids)
        scores.append(AnalogyScore(section, len(questions), covered, right))
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

    pairs, judged, words = _read_pairs(Path(path))
    place = _positions(embeddings, words, len(embeddings))
    built = _built_of_subwords(embeddings, words, place)
    has_vector = place >= 0
    has_vector[list(built)] = True
    pairs, judged = pairs[covered := has_vector[pairs].all(axis=1)], judged[covered]
    n_built = int((place[pairs] < 0).any(axis=1).sum())
    cosines = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _BLOCK):
        unit = _unit_rows(_vectors(embeddings, pairs[start : start + _BLOCK], place, built))
        cosines[start : start + _BLOCK] = np.einsum("ij,ij->i", unit[:, 0], unit[:, 1])
    if len(pairs) < 2 or not np.ptp(cosines) or not np.ptp(judged):
        return SimilarityScore(float("nan"), len(covered), len(pairs), n_built)
    return SimilarityScore(float(spearmanr(cosines, judged)[0]), len(covered), len(pairs), n_built)


def _built_of_subwords(embeddings: Embeddings, words: Sequence[str], place: np.ndarray) -> dict[int, np.ndarray]:
    """Return vectors of words that are no tokens, by the words' numbers, where a model builds them of subwords."""
    if embeddings.subwords is None:
        return {}
    vectors = {number: embeddings.subwords.build(words[number]) for number in np.flatnonzero(place < 0).tolist()}
    return {number: vector for number, vector in vectors.items() if vector is not None}


def _vectors(
    embeddings: Embeddings, pairs: np.ndarray, place: np.ndarray, built: Mapping[int, np.ndarray]
) -> np.ndarray:
    """Return the vectors of the words of pairs (n × 2 × vector_size), all of which have one."""
    ids = place[pairs]
    vectors = np.asarray(embeddings.vectors[np.maximum(ids, 0)], np.float32)
    for row, side in np.argwhere(ids < 0).tolist():
        vectors[row, side] = built[int(pairs[row, side])]
    return vectors


def _unit_rows(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def _positions(embeddings: Embeddings, words: Sequence[str], n: int) -> np.ndarray:
    """Return the int64 positions of words among the first n tokens, as they stand or in lower case, else -1."""
    found = embeddings.tokens.find_all(words)
    lower = embeddings.tokens.find_all([word.lower() for word in words])
    best = np.where(found >= 0, found, lower)
    best[best >= n] = -1
    return best


def _read_sections(path: Path) -> tuple[list[tuple[str, np.ndarray]], list[str]]:
    """Return the sections of a file, each with int32 numbers of words (questions × 4), and the words."""
    sections: list[tuple[str, array[int]]] = []
    words = Numbering()
    for number, line in lines_of(path):
        if line.lstrip().startswith(":"):
            sections.append((line.strip()[1:].strip(), array("i")))
            continue
        question = line.split()
        if len(question) != 4:
            raise SourceError(f"{path} line {number} has {len(question)} words; a question has four: a b c d.")
        if not sections:
            sections.append(("all", array("i")))
        sections[-1][1].extend(map(words.number, question))
    if not any(questions for _, questions in sections):
        raise SourceError(f"{path} holds no question; each line needs four words: a b c d.")
    return [(name, as_numbers(questions).reshape(-1, 4)) for name, questions in sections], list(words.names())


def _read_pairs(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return int32 numbers of words (pairs × 2), the float64 scores of the pairs, and the words."""
    pairs, judged, words = array("i"), array("d"), Numbering()
    column = None
    for number, line in lines_of(path):
        fields = _fields(line.strip())
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
        pairs.extend(map(words.number, fields[:2]))
    if not pairs:
        raise SourceError(f"{path} holds no pair; each line needs: word, word, score.")
    return as_numbers(pairs).reshape(-1, 2), as_numbers(judged), list(words.names())


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
