"""Alternating least squares: vectors of keys and tokens whose products come near the interactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from embedkit.contracts import Run, Trainer
from embedkit.errors import OptionError
from embedkit.options import Between, option

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings

_LEAST_EXPLICIT = 3


@dataclass(frozen=True)
class ALSOptions:
    """What is minimised, and how."""

    vector_size: int = option(
        128, "Numbers in a vector.", minimum=1, maximum=100_000, search=Between(32, 512, log=True)
    )
    loss: Literal["implicit", "explicit"] = option(
        "implicit",
        "implicit: what occurs is to score 1, with its weight as confidence, all else 0. "
        "explicit: weights are ratings, to be predicted.",
    )
    weighting: Literal["logarithm", "sum", "presence"] = option(
        "logarithm",
        "With the loss 'implicit', the confidence of interactions whose weights come to w: "
        "log2(1 + w), which is 1 for a single one; w; or always 1.",
    )
    unobserved_weight: float = option(
        0.02, "With the loss 'implicit', how much a token that does not occur counts against one that does.", above=0,
        maximum=1e6, search=Between(0.001, 0.5, log=True),
    )  # fmt: skip
    regularization: float | None = option(
        None, "Weight of the penalty on long vectors; 0.003, with the loss 'explicit' 0.15.", above=0, maximum=1e9,
        search=Between(3e-4, 3, log=True),
    )  # fmt: skip
    regularization_exponent: float = option(
        1.0, "Scale the penalty by how much there is to go by, to this power; 0 for the same penalty everywhere.",
        minimum=0, maximum=2, search=Between(0.0, 1.2),
    )  # fmt: skip
    epochs: int = option(
        12, "Passes over the interactions, keys and tokens each once.", minimum=1, maximum=1_000_000,
        search=Between(4, 30, log=True),
    )  # fmt: skip
    solver_steps: int = option(
        3, "Conjugate gradient steps for each vector and pass; as many as a vector has numbers solve it exactly.",
        minimum=1, maximum=100_000,
    )  # fmt: skip
    workers: int | None = option(
        None, "Threads; all cores where not given. The result is the same.", minimum=1, maximum=1024
    )
    seed: int = option(1, "Seed of the vectors that it begins with.", minimum=0)

    def __post_init__(self) -> None:
        """Check what concerns two options at once."""
        if self.loss == "explicit" and self.vector_size < _LEAST_EXPLICIT:
            raise OptionError(
                "vector_size",
                f"must be at least {_LEAST_EXPLICIT} with loss='explicit'; two hold the offsets of key and token.",
            )

    @property
    def penalty(self) -> float:
        """The regularization in force."""
        if self.regularization is not None:
            return self.regularization
        return 0.15 if self.loss == "explicit" else 0.003


class ALS(Trainer):
    """Matrix factorisation by alternating least squares (iALS), of interactions or of ratings; keys get vectors too."""

    name = "als"
    resumes = True
    divides = True
    Options = ALSOptions

    def train(self, corpus: Corpus, options: ALSOptions, run: Run) -> Embeddings:
        """Learn vectors of keys (else of sentences) and of tokens; `Factorization` says what is minimised."""
        from embedkit.trainers.factors.seen import check_all_owned

        if run.start is not None:
            check_all_owned(corpus, self.name)
        if run.engine is not None:
            from embedkit.trainers.factors import blocks_als

            return blocks_als.learn(corpus, options, run)  # type: ignore[arg-type]
        from embedkit.trainers.factors.factorization import learn

        return learn(corpus, options, run)

    @classmethod
    def options_to_grow(cls, start: Embeddings, options: ALSOptions) -> ALSOptions:
        """Return the options as they are: all histories are learned from again, beginning near their solution."""
        from embedkit.trainers.factors.seen import check_remembers_all

        check_remembers_all(start, cls.name)
        return options
