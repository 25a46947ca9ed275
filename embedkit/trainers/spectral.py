"""Spectral vectors: the leading singular vectors of who interacted with what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from embedkit.contracts import Run, Trainer
from embedkit.options import option

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings


@dataclass(frozen=True)
class SpectralOptions:
    """How the matrix is made, and vectors of its singular vectors. The defaults suit recommendations."""

    vector_size: int = option(
        1024, "Numbers in a vector; no more than there are keys or tokens.", minimum=1, maximum=100_000
    )
    weighting: Literal["logarithm", "sum", "presence"] = option(
        "logarithm",
        "What a token counts for a key whose interactions with it weigh w together: "
        "log2(1 + w), which is 1 for a single one; w; or always 1.",
    )
    key_exponent: float = option(
        0.35, "Divide by the key's total to this power: the higher, the less long histories weigh.", minimum=0,
        maximum=2,
    )  # fmt: skip
    token_exponent: float = option(
        0.35, "Divide by the token's total to this power: the higher, the less popular tokens shape the vectors.",
        minimum=0, maximum=2,
    )  # fmt: skip
    shrinkage: float = option(
        0.2, "Halve singular values whose square is this share of the greatest; smaller ones shrink more.", minimum=0,
        maximum=1e6,
    )  # fmt: skip
    shrinkage_power: float = option(1.5, "How sharply shrinking sets in there.", above=0, maximum=100)
    popularity_discount: float = option(
        0.05, "Divide what is recommended by its total to this power; below 0 favours what is popular.", minimum=-2,
        maximum=2,
    )  # fmt: skip
    leverage_discount: float = option(
        0.15, "Divide what is recommended by its score for itself to this power.", minimum=-2, maximum=2
    )
    prior: float = option(
        3.0, "Add so many average interactions to each history: short ones lean on what is popular.", minimum=0,
        maximum=1e6,
    )  # fmt: skip
    iterations: int = option(3, "Rounds of sharpening the singular vectors.", minimum=1, maximum=1000)
    workers: int | None = option(
        None, "Threads; all cores where not given. The result is the same.", minimum=1, maximum=1024
    )
    seed: int = option(1, "Seed of the directions that the search begins with.", minimum=0)


class Spectral(Trainer):
    """Truncated SVD of the degree-normalised key × token matrix; unknown keys fold in exactly."""

    name = "spectral"
    Options = SpectralOptions

    def train(self, corpus: Corpus, options: SpectralOptions, run: Run) -> Embeddings:
        """Learn from the matrix of keys (of sentences where there are none) and tokens; `vectors_of` says how."""
        from embedkit.trainers.spectral_vectors import learn

        return learn(corpus, options, run)
