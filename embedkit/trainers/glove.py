"""GloVe: vectors whose products are logarithms of how often tokens occur near each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from embedkit.contracts import Run, Trainer
from embedkit.errors import EmbedkitError
from embedkit.options import Between, option

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings


@dataclass(frozen=True)
class GloVeOptions:
    """What is counted, and how vectors are fitted to the counts."""

    vector_size: int = option(
        100, "Numbers in a vector.", minimum=1, maximum=100_000, search=Between(32, 512, log=True)
    )
    window: int | Literal["sentence"] = option(
        10, "Tokens of context on each side, or 'sentence' for all of it.", minimum=1, maximum=10_000
    )
    distance_weighting: Literal["harmonic", "linear", "flat"] = option(
        "harmonic",
        "What a neighbour d tokens away counts: 1/d; (WINDOW - d + 1)/WINDOW; or 1. "
        "With the window 'sentence' always 1.",
    )
    x_max: float = option(
        10.0, "Counts from here on weigh the same, smaller ones less; 100 suits billions of tokens.", above=0,
        maximum=1e12, search=Between(1, 100, log=True),
    )  # fmt: skip
    exponent: float = option(0.75, "Smaller counts weigh (count / X_MAX) to this power.", minimum=0, maximum=10)
    unmet_weight: float = option(
        0.0,
        "Draw a pair for each count and learn, with this weight, that it meets a tenth as often as the rarest do; "
        "0, as published, says nothing about what never meets.",
        minimum=0, maximum=1e6, search=Between(0.001, 1, log=True),
    )  # fmt: skip
    alpha: float = option(0.05, "Learning rate at the start; AdaGrad lets it fall.", above=0, maximum=100)
    epochs: int = option(15, "Passes over the counts.", minimum=1, maximum=1_000_000)
    keep: Literal["both", "sum"] = option(
        "both",
        "both: vectors and context vectors, whose products say how much more often than usual two tokens meet. "
        "sum: one vector a token, their sum.",
    )
    workers: int | None = option(
        None, "Threads; all cores where not given. The result is the same.", minimum=1, maximum=1024
    )
    seed: int = option(1, "Seed of the first vectors and of the order of learning.", minimum=0)


class GloVe(Trainer):
    """GloVe: weighted least squares on logarithms of co-occurrence counts."""

    name = "glove"
    resumes = True
    divides = True
    Options = GloVeOptions

    def train(self, corpus: Corpus, options: GloVeOptions, run: Run) -> Embeddings:
        """Learn from how often tokens occur near each other (Pennington, Socher and Manning 2014, EMNLP)."""
        from embedkit.trainers.counting.glove_learning import learn

        return learn(corpus, options, run)

    @classmethod
    def options_to_grow(cls, start: Embeddings, options: GloVeOptions) -> GloVeOptions:
        """Refuse."""
        raise EmbedkitError(
            "glove learns from counts over all data, which the model does not keep; train anew on all of it."
        )
