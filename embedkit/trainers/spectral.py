"""Spectral vectors: the leading singular vectors of who interacted with what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from embedkit.contracts import Run, Trainer
from embedkit.errors import EmbedkitError
from embedkit.options import Between, option

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings


_ITERATIONS_TO_GROW = 1
_CHOSEN = " Chosen on held-out interactions where not given."


@dataclass(frozen=True)
class SpectralOptions:
    """How the matrix is made, and vectors of its singular vectors. The defaults suit recommendations."""

    vector_size: int = option(
        1024, "Numbers in a vector; no more than there are keys or tokens.", minimum=1, maximum=100_000,
        search=Between(32, 2048, log=True),
    )  # fmt: skip
    matrix: Literal["key-token", "token-token"] = option(
        "key-token",
        "key-token: who interacted with what (sentences where there are no keys). "
        "token-token: what occurs near what (PPMI); only the options that say so, iterations, workers and seed matter.",
    )
    weighting: Literal["logarithm", "sum", "presence"] = option(
        "logarithm",
        "What a token counts for a key whose interactions with it weigh w together: "
        "log2(1 + w), which is 1 for a single one; w; or always 1.",
    )
    key_exponent: float = option(
        0.35, "Divide by the key's total to this power: the higher, the less long histories weigh.", minimum=0,
        maximum=2, search=Between(0.1, 0.7),
    )  # fmt: skip
    token_exponent: float = option(
        0.4, "Divide by the token's total to this power: the higher, the less popular tokens shape the vectors.",
        minimum=0, maximum=2, search=Between(0.1, 0.7),
    )  # fmt: skip
    recency_exponent: float | None = option(
        None, "Divide the m-th latest token of a history by m to this power." + _CHOSEN, minimum=0, maximum=10
    )
    shrinkage: float | None = option(
        None, "Halve singular values whose square is this share of the greatest; smaller ones shrink more." + _CHOSEN,
        minimum=0, maximum=1e6,
    )  # fmt: skip
    shrinkage_power: float = option(1.5, "How sharply shrinking sets in there.", above=0, maximum=100)
    trend: float | None = option(
        None, "Multiply what is recommended by the ratio of its recent and its usual popularity to this power; "
        "needs times." + _CHOSEN, minimum=0, maximum=10,
    )  # fmt: skip
    trend_window: float = option(
        0.03, "The share of all interactions over which recent popularity halves: the lower, the more recent.", above=0,
        maximum=100,
    )  # fmt: skip
    prior: float | None = option(
        None, "Add recent popularity to all scores, the most popular token gaining so many times what an average token "
        "of a history scores for itself." + _CHOSEN, minimum=0, maximum=1e6,
    )  # fmt: skip
    popularity_discount: float = option(
        0.0, "Divide what is recommended by its total to this power; below 0 favours what is popular.", minimum=-2,
        maximum=2,
    )  # fmt: skip
    leverage_discount: float | None = option(
        None, "Divide what is recommended by its score for itself to this power." + _CHOSEN, minimum=-2, maximum=2
    )
    holdout: Literal["by-time", "latest", "mixed", "random"] | None = option(
        None, "What is held out for such choices: all from one moment on, the latest of each key's interactions, of "
        "half of the keys the latest and of half drawn ones, or drawn ones. Where not given: as an evaluation does; "
        "else by time, mixed where there are no times.",
    )  # fmt: skip
    window: int | Literal["sentence"] = option(
        5, "With 'token-token': tokens of context on each side, or 'sentence' for all of it.", minimum=1, maximum=10_000
    )
    distance_weighting: Literal["harmonic", "linear", "flat"] = option(
        "linear",
        "With 'token-token': what a neighbour d tokens away counts: 1/d; (WINDOW - d + 1)/WINDOW; or 1. "
        "With the window 'sentence' always 1.",
    )
    shift: float = option(
        1.0, "With 'token-token': how many times as often as by chance tokens must meet to count.", above=0, maximum=1e6
    )
    context_smoothing: float = option(
        0.75, "With 'token-token': take contexts' counts to this power, so that rare ones weigh less.", minimum=0,
        maximum=2,
    )  # fmt: skip
    eigenvalue_exponent: float = option(
        0.5, "With 'token-token': multiply singular vectors by their singular values to this power.", minimum=0,
        maximum=2,
    )  # fmt: skip
    keep: Literal["both", "sum"] = option(
        "both", "With 'token-token': both: vectors and context vectors. sum: one vector a token, their sum."
    )
    iterations: int = option(3, "Rounds of sharpening the singular vectors.", minimum=1, maximum=1000)
    workers: int | None = option(
        None, "Threads; all cores where not given. The result is the same.", minimum=1, maximum=1024
    )
    seed: int = option(1, "Seed of the directions that the search begins with.", minimum=0)


class Spectral(Trainer):
    """Truncated SVD: of the degree-normalised key × token matrix, unknown keys folding in exactly; or of PPMI."""

    name = "spectral"
    divides = True
    drifts = False  # singular vectors are computed anew
    Options = SpectralOptions

    def train(self, corpus: Corpus, options: SpectralOptions, run: Run) -> Embeddings:
        """Learn from the matrix of keys (of sentences where there are none) and tokens, or of tokens and tokens."""
        from embedkit.trainers.factors.seen import check_all_owned

        if run.start is not None:
            check_all_owned(corpus, self.name)
        if options.matrix == "token-token":
            from embedkit.trainers.factors import ppmi

            return ppmi.learn(corpus, options, run)
        if run.engine is not None:
            from embedkit.trainers.factors import blocks_spectral

            return blocks_spectral.learn(corpus, options, run)  # type: ignore[arg-type]
        from embedkit.trainers.factors.spectral_vectors import learn

        return learn(corpus, options, run)

    @classmethod
    def options_to_grow(cls, start: Embeddings, options: SpectralOptions) -> SpectralOptions:
        """Return them with fewer iterations, which begin with the singular vectors of before."""
        from embedkit.trainers.factors.seen import check_remembers_all
        from embedkit.trainers.factors.spectral_vectors import choices_of

        if options.matrix == "token-token":
            raise EmbedkitError(
                "what occurs near what was counted over all data, and the model keeps no such counts; train anew."
            )
        check_remembers_all(start, cls.name)
        choices_of(start)
        if "extended" in start.config:
            raise EmbedkitError(
                "the model was extended, and singular vectors are computed anew; update the model of before, then "
                "extend that."
            )
        return replace(options, iterations=min(options.iterations, _ITERATIONS_TO_GROW))
