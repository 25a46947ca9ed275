"""Contrastive learning: a history's vector is to be nearer to what belongs to it than to anything else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from embedkit.contracts import Run, Trainer
from embedkit.options import Between, option

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings


@dataclass(frozen=True)
class ContrastiveOptions:
    """What is predicted from what, and how it is learned."""

    vector_size: int = option(
        128, "Numbers in a vector.", minimum=1, maximum=100_000, search=Between(32, 256, log=True)
    )
    target: Literal["next", "held-out"] | None = option(
        None,
        "next: what came so far predicts what comes next. held-out: a part of a history, drawn anew each time, "
        "predicts the rest. Without it: next where there are times or no keys, else held-out.",
    )
    recency: float | None = option(
        None, "What a token of a history counts of the one after it. Without it 1, without keys 0.5.", above=0,
        maximum=1, search=Between(0.3, 1.0),
    )  # fmt: skip
    repeats: bool | None = option(
        None, "With the target 'next', also learn when something comes again. Without it: where there are no keys, "
        "since recommendations to keys leave out what they have."
    )  # fmt: skip
    held_out: float = option(
        0.3, "With the target 'held-out', the share of a history that is to be predicted.", above=0, below=1
    )
    max_history: int = option(
        100, "Learn from at most so many tokens of a history at a time.", minimum=1, maximum=1_000_000
    )
    temperature: float = option(
        0.1, "Divide cosines by this: the lower, the more the hardest negatives count.", minimum=0.005, maximum=100,
        search=Between(0.03, 0.3, log=True),
    )  # fmt: skip
    negative: int = option(
        2000, "Sampled tokens that all examples of a batch have as negatives, besides each other's targets.", minimum=0,
        maximum=10_000_000,
    )  # fmt: skip
    ns_exponent: float = option(
        0.0, "Draw them by count to this power: 1 by frequency, 0 evenly.", minimum=-10, maximum=10,
        search=Between(0.0, 1.0),
    )  # fmt: skip
    batch_size: int | None = option(
        None, "Examples that learn together. Without it 64 to 2048, the more the more there are.", minimum=1,
        maximum=65_536,
    )  # fmt: skip
    epochs: int | None = option(
        None, "Passes over the corpus; 3 for the target 'next', else 20.", minimum=1, maximum=1_000_000,
        search=Between(2, 20, log=True),
    )  # fmt: skip
    alpha: float | None = option(
        None, "Learning rate at the start, falling linearly to 0; 0.003 for the target 'next', else 0.01.", above=0,
        maximum=100, search=Between(0.001, 0.03, log=True),
    )  # fmt: skip
    offsets: bool = option(
        True, "Learn how popular each token is, as the last number of its vector; not with fewer than three numbers."
    )
    popularity: float = option(
        1.0, "Begin with this times the logarithm of how often a token is a target as its offset.", minimum=-10,
        maximum=10, search=Between(0.0, 1.5),
    )  # fmt: skip
    start: Literal["spectral", "random"] = option(
        "spectral", "Begin with singular vectors of what occurs together, or at random."
    )
    workers: int | None = option(
        None, "Threads; all cores where not given. The result is the same.", minimum=1, maximum=1024
    )
    seed: int = option(1, "Seed of all that is drawn; the same seed gives the same bits.", minimum=0)


class Contrastive(Trainer):
    """Next items of sessions, or the rest of a history, by a softmax over cosines; recency counts."""

    name = "contrastive"
    resumes = True
    Options = ContrastiveOptions

    def train(self, corpus: Corpus, options: ContrastiveOptions, run: Run) -> Embeddings:
        """Learn a vector of each token; `TiedSoftmax` says what is minimised."""
        from embedkit.trainers.contrast.contrastive_learning import learn

        return learn(corpus, options, run)

    @classmethod
    def options_to_grow(cls, start: Embeddings, options: ContrastiveOptions) -> ContrastiveOptions:
        """Return them with what was learned before, which new sentences of another kind would change."""
        settled = {name: start.config[name] for name in ("target", "recency", "repeats") if name in start.config}
        return replace(options, **settled)
