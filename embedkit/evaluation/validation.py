"""What is held out of a corpus to watch training by, and the measure that is watched."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError, OptionError, SourceError, did_you_mean
from embedkit.evaluation.evaluating import Evaluation, evaluate
from embedkit.evaluation.heldout import HeldOut, read_lines, read_prefixes
from embedkit.evaluation.metrics import METRICS
from embedkit.evaluation.splits import SPLITS, Split
from embedkit.evaluation.word_files import word_test
from embedkit.evaluation.words import SimilarityScore

LAYOUTS: dict[str, Callable[[str | Path], HeldOut]] = {"lines": read_lines, "prefix-target": read_prefixes}
"""How a validation file is read, by name."""

_SHARE = 0.1


@dataclass(frozen=True)
class Validation:
    """What is held out of a corpus, so that nothing is chosen by a test.

    Attributes
    ----------
    part
        The name of a split (`random`, `leave-one-out`, `by-time`, `next-item`), or a file that holds what is to be
        found. None: the last interaction of each key where there are times, else a drawn tenth of each key's.
    share
        How much a split holds out, 0.1 where not given; `leave-one-out` takes none.
    layout
        How a file's lines read: `lines` (key token token ...) or `prefix-target` (token ...<TAB>token).
    include_seen
        Whether tokens of the history may be recommended, and found, again.
    seed
        For what is drawn.
    most_rows
        Where more rows are held out, so many are drawn of them, always the same, and only these are ranked.
    """

    part: str | os.PathLike[str] | None = None
    share: float | None = None
    layout: Literal["lines", "prefix-target"] = "lines"
    include_seen: bool = False
    seed: int = 1
    most_rows: int = 10_000

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise OptionError("validation_layout", f"must be 'lines' or 'prefix-target'; got {self.layout!r}.")
        if self.share is not None and not (isinstance(self.share, int | float) and 0 < self.share < 1):
            raise OptionError("validation_share", f"must be a number above 0 and below 1; got {self.share!r}.")
        if self.share is not None and (self.part == "leave-one-out" or self.of_file):
            whose = "leave-one-out" if self.part == "leave-one-out" else "a validation file"
            raise OptionError("validation_share", f"does not go with {whose}; leave it out.")
        if self.of_file and Path(str(self.part)).is_dir():
            raise OptionError("validation", f"must be a split or a file; {self.part} is a folder.")
        if self.of_file and not Path(str(self.part)).exists():
            near = did_you_mean(str(self.part), SPLITS) or f" The splits are: {', '.join(SPLITS)}."
            raise OptionError("validation", f"must be a split or a file; there is no file {self.part}.{near}")

    @property
    def of_file(self) -> bool:
        """Whether a file brings what is to be found, so that nothing is held out."""
        return self.part is not None and self.part not in SPLITS

    def how(self, corpus: Corpus) -> str:
        """Return the name of the split that is in force for a corpus, or of the file.

        Raises
        ------
        SourceError
            If none was named, and the sentences belong to nobody.
        """
        if self.part is not None:
            return str(self.part)
        if corpus.keys is None:
            raise SourceError(
                "these sentences have no keys, so there is nobody to recommend to: give --validation next-item to ask "
                "for each next token of the last sentences."
            )
        return "random" if corpus.times is None else "leave-one-out"

    def split(self, corpus: Corpus) -> Split:
        """Return the part to learn from, which is all of it with a file, and what is to be found.

        Raises
        ------
        SourceError
            If nothing can be held out, or the file cannot be read.
        """
        if self.of_file:
            parts = Split(corpus, LAYOUTS[self.layout](str(self.part)))
        else:
            how = self.how(corpus)
            options: dict[str, Any] = {"seed": self.seed} if how in ("random", "leave-one-out") else {}
            if how != "leave-one-out":
                options["share"] = self.share or _SHARE
            parts = SPLITS[how](corpus, **options)
        if len(parts.test) <= self.most_rows:
            return parts
        drawn = np.random.default_rng(self.seed).choice(len(parts.test), self.most_rows, replace=False)
        return Split(parts.train, parts.test.take(np.sort(drawn)))

    def told(self, corpus: Corpus, parts: Split) -> str:
        """Return what is held out, in a line."""
        rows = f"{len(parts.test):,} {'prefixes' if parts.test.keys is None else 'keys'} to recommend to"
        held = "" if parts.train is corpus else f", {corpus.n_tokens - parts.train.n_tokens:,} held out"
        return f"Validation {self.how(corpus)}: {parts.train.n_tokens:,} tokens to learn from{held}; {rows}."


@dataclass(frozen=True)
class Measure:
    """A ranking metric at a k.

    Attributes
    ----------
    name
        One of `metrics.METRICS`.
    k
        How many of the best count.
    """

    name: str
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"

    @classmethod
    def parse(cls, text: str, option: str = "metric", besides: tuple[str, ...] = ()) -> Measure:
        """Read `ndcg@20`; `besides` are words that an error names too, `option` is what it blames."""
        name, at, k = str(text).partition("@")
        if name not in METRICS or not at or not k.isascii() or not k.isdigit() or int(k) < 1:
            near = did_you_mean(name, METRICS) if name not in METRICS else ""
            words = " or ".join([f"METRIC@K with {', '.join(METRICS)}, such as ndcg@20", *map(repr, besides)])
            raise OptionError(option, f"must be {words}; got {text!r}.{near}")
        return cls(name, int(k))

    def check(self, n_tokens: int, option: str = "metric") -> None:
        """Refuse a k above the number of tokens."""
        if self.k > n_tokens:
            raise OptionError(option, f"asks for the best {self.k:,} of {n_tokens:,}; lower the number behind the @.")

    def of(self, model: Embeddings, test: HeldOut, validation: Validation) -> Evaluation:
        """Rank what a validation holds out."""
        return evaluate(model, test, self.k, include_seen=validation.include_seen)


def word_score(model: Embeddings, path: str | os.PathLike[str]) -> float:
    """Return Spearman's correlation on a file of similarities, or the share of analogies answered rightly.

    Raises
    ------
    EmbedkitError
        If the model knows the words of too few lines to tell.
    """
    found = word_test(model, str(path))
    if isinstance(found, SimilarityScore):
        score = found.spearman
    else:
        covered = sum(section.covered for section in found)
        score = sum(section.right for section in found) / covered if covered else float("nan")
    if not np.isfinite(score):
        raise EmbedkitError(f"the model knows the words of too few lines of {path}; is it of the same language?")
    return float(score)
