"""Skip-gram: each token predicts the ones around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from embedkit.contracts import Run, Trainer
from embedkit.errors import EmbedkitError, OptionError
from embedkit.options import Between, option

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings

_EPOCHS_TO_GROW = 10


@dataclass(frozen=True)
class NegativeSamplingOptions:
    """What skip-gram and CBOW with negative sampling have in common."""

    vector_size: int = option(
        100, "Numbers in a vector.", minimum=1, maximum=100_000, search=Between(32, 256, log=True)
    )
    window: int | Literal["sentence"] = option(
        5, "Tokens of context on each side, or 'sentence' for all of it.", minimum=1, maximum=10_000
    )
    shrink_windows: bool = option(True, "Draw each window's size from 1 to WINDOW, so that near tokens count more.")
    max_contexts: int = option(
        20, "With the window 'sentence': draw so many contexts for each token where there are more.", minimum=1,
        maximum=10_000,
    )  # fmt: skip
    negative: int = option(
        5, "Noise tokens for each true one.", minimum=1, maximum=1000, search=Between(3, 20, log=True)
    )
    ns_exponent: float = option(
        0.75, "Draw noise by count to this power: 1 by frequency, 0 evenly, below 0 the rare ones more.",
        minimum=-10, maximum=10, search=Between(-0.5, 1.0),
    )  # fmt: skip
    sample: float = option(
        1e-3, "Thin out tokens more frequent than about this share of the corpus; 0 keeps all.", minimum=0, maximum=1
    )
    alpha: float = option(
        0.025, "Learning rate at the start.", above=0, maximum=100, search=Between(0.01, 0.3, log=True)
    )
    min_alpha: float = option(0.0001, "Learning rate at the end; it falls linearly.", minimum=0, maximum=100)
    epochs: int = option(5, "Passes over the corpus.", minimum=1, maximum=1_000_000, search=Between(5, 100, log=True))
    workers: int | None = option(
        None, "Threads. Without it, all cores, but one below 2 million tokens, so that results repeat.", minimum=1,
        maximum=1024,
    )  # fmt: skip
    seed: int = option(1, "Seed of all that is drawn; with one worker the same seed gives the same bits.", minimum=0)

    def __post_init__(self) -> None:
        """Check what concerns two options at once."""
        if self.min_alpha > self.alpha:
            raise OptionError("min_alpha", f"must not exceed alpha; got {self.min_alpha:g} above {self.alpha:g}.")


@dataclass(frozen=True)
class Word2VecOptions(NegativeSamplingOptions):
    """What skip-gram and CBOW have in common: also by other losses."""

    loss: Literal["negative-sampling", "hierarchical-softmax", "softmax"] = option(
        "negative-sampling",
        "What is learned: true pairs from noise, the way to a token in a binary tree, or a token among all (slow).",
    )
    batch_size: int | Literal["all"] = option(
        1, "With the loss 'softmax': pairs whose mean gradient makes an update; 'all' for one update an epoch.",
        minimum=1, maximum=1_000_000_000,
    )  # fmt: skip
    reproducible: bool = option(
        False, "Give the same bits with any number of workers; takes about half as long again, or more, as a race."
    )

    def __post_init__(self) -> None:
        """Check what concerns two options at once."""
        super().__post_init__()
        if self.reproducible and self.loss == "hierarchical-softmax":
            raise OptionError(
                "reproducible",
                "does not go with loss 'hierarchical-softmax'; leave it out and take --workers 1, which gives the same "
                "bits too, or take --loss negative-sampling.",
            )
        if self.batch_size != 1 and self.loss != "softmax":
            raise OptionError("batch_size", f"is an option of loss 'softmax' alone; {self.loss!r} has no batches.")

    @property
    def reach(self) -> int:
        """How many contexts a token can have on each side."""
        return self.max_contexts if self.window == "sentence" else int(self.window)


def word2vec_options_to_grow(start: Embeddings, options: Word2VecOptions) -> Word2VecOptions:
    """Return the options to grow skip-gram's or CBOW's vectors with, which are as they were.

    Raises
    ------
    EmbedkitError
        If their output vectors are not in the model, or nobody's.
    """
    if options.loss == "hierarchical-softmax":
        raise EmbedkitError(
            "hierarchical softmax learns vectors of the nodes of a tree, which grows another way with new counts: "
            "train anew, or a model to be updated with --loss negative-sampling."
        )
    if start.context_vectors is None:
        raise EmbedkitError("the model has no context vectors, from which learning could go on; train anew.")
    return options


def check_word2vec_divides(options: Word2VecOptions) -> None:
    """Refuse what skip-gram and CBOW do not do in partitions.

    Raises
    ------
    OptionError
        If the loss is another than negative sampling, or the same bits are asked for.
    """
    if options.loss != "negative-sampling":
        raise OptionError("loss", f"{options.loss!r} is not learned in partitions; use negative-sampling.")
    if options.reproducible:
        raise OptionError("reproducible", "is for one process; leave it out, or leave --engine out.")


class SkipGram(Trainer):
    """Skip-gram: each token predicts its context (Word2Vec, item2vec)."""

    name = "skipgram"
    resumes = True
    divides = True
    Options = Word2VecOptions

    def train(self, corpus: Corpus, options: Word2VecOptions, run: Run) -> Embeddings:
        """Learn from pairs of token and context (Mikolov et al. 2013, arXiv 1310.4546)."""
        if run.engine is not None:
            from embedkit.trainers.sampling import averaging

            return averaging.learn(corpus, options, run, "skipgram")  # type: ignore[arg-type]
        from embedkit.trainers.sampling.word2vec import learn

        return learn(corpus, options, run, "skipgram")

    @classmethod
    def check_divides(cls, options: Word2VecOptions) -> None:
        """See `check_word2vec_divides`."""
        check_word2vec_divides(options)

    @classmethod
    def options_to_grow(cls, start: Embeddings, options: Word2VecOptions) -> Word2VecOptions:
        """Return them with at most ten epochs, as most is learned already; see `word2vec_options_to_grow`."""
        kept = word2vec_options_to_grow(start, options)
        return replace(kept, epochs=min(kept.epochs, _EPOCHS_TO_GROW))
