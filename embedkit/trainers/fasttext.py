"""fastText: tokens whose vectors are made of those of their character n-grams, so that unseen words have some too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from embedkit.contracts import Run, Trainer
from embedkit.errors import EmbedkitError, OptionError
from embedkit.options import option
from embedkit.trainers.skipgram import NegativeSamplingOptions

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings

_ALPHAS = {"skipgram": 0.04, "cbow": 0.1}


@dataclass(frozen=True)
class FastTextOptions(NegativeSamplingOptions):
    """Those of negative sampling, and what n-grams there are."""

    architecture: Literal["skipgram", "cbow"] = option(
        "skipgram", "What is learned: each token predicts the ones around it, or their mean predicts the token."
    )
    min_n: int = option(3, "Characters of the shortest n-grams; the token stands between < and >.", minimum=1)
    max_n: int = option(6, "Characters of the longest n-grams.", minimum=1, maximum=1000)
    bucket: int = option(
        2_000_000, "N-grams are hashed to so many numbers; only those that occur take memory.", minimum=1,
        maximum=2_000_000_000,
    )  # fmt: skip
    jamo: bool = option(False, "Take Hangul syllables apart into their letters, so that n-grams are of letters.")
    alpha: float | None = option(  # type: ignore[assignment]
        None, "Learning rate at the start; without it 0.04 for skipgram, 0.1 for cbow.", above=0, maximum=100
    )

    def __post_init__(self) -> None:
        """Check what concerns two options at once."""
        if self.alpha is None:
            object.__setattr__(self, "alpha", _ALPHAS[self.architecture])
        super().__post_init__()
        if self.min_n > self.max_n:
            raise OptionError("min_n", f"must not exceed max_n; got {self.min_n} above {self.max_n}.")

    @property
    def first_alpha(self) -> float:
        """The learning rate at the start, which `alpha` is set to where it was not given."""
        assert self.alpha is not None
        return self.alpha


class FastText(Trainer):
    """Vectors made of those of character n-grams: for rare words, unseen words, and rich word forms."""

    name = "fasttext"
    resumes = True
    tuned = False  # parts of an item's id tell nothing
    Options = FastTextOptions

    def train(self, corpus: Corpus, options: FastTextOptions, run: Run) -> Embeddings:
        """Learn vectors of tokens' character n-grams (Bojanowski et al. 2017, arXiv 1607.04606).

        A token's vector is the sum of its n-grams' and its own over the root of their number: the paper takes the sum
        and fastText the mean. With the root the gradient itself moves every token by the learning rate alone, however
        long it is; fastText has the same by giving each n-gram of the mean the whole gradient.
        """
        from embedkit.trainers.sampling.fasttext_learning import learn

        return learn(corpus, options, run)

    @classmethod
    def options_to_grow(cls, start: Embeddings, options: FastTextOptions) -> FastTextOptions:
        """Return the options as they are; a model without the vectors of its n-grams is refused."""
        if start.subwords is None or start.subwords.buckets is None or start.context_vectors is None:
            raise EmbedkitError("the model lacks the vectors of its n-grams or contexts; train anew.")
        return options
