"""Continuous bag of words: the tokens around it predict each token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedkit.contracts import Run, Trainer
from embedkit.options import Between, option
from embedkit.trainers.skipgram import Word2VecOptions, check_word2vec_divides, word2vec_options_to_grow

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings


@dataclass(frozen=True)
class CBOWOptions(Word2VecOptions):
    """As skip-gram's, but for the learning rate: a context's share of the mean's gradient is small."""

    alpha: float = option(0.1, "Learning rate at the start.", above=0, maximum=100, search=Between(0.01, 0.5, log=True))


class CBOW(Trainer):
    """Continuous bag of words: the mean of a token's context predicts it; faster, for frequent words."""

    name = "cbow"
    resumes = True
    divides = True
    Options = CBOWOptions

    def train(self, corpus: Corpus, options: Word2VecOptions, run: Run) -> Embeddings:
        """Learn from the mean of each context's input vectors (Mikolov et al. 2013, arXiv 1301.3781, 1310.4546).

        The gradient is the loss's own, which gives each context its part of the mean's (Irsoy et al. 2020,
        arXiv 2012.15332); word2vec and gensim give each the whole, hence their smaller learning rate.
        """
        if run.engine is not None:
            from embedkit.trainers.sampling import averaging

            return averaging.learn(corpus, options, run, "cbow")  # type: ignore[arg-type]
        from embedkit.trainers.sampling.word2vec import learn

        return learn(corpus, options, run, "cbow")

    @classmethod
    def check_divides(cls, options: Word2VecOptions) -> None:
        """See `check_word2vec_divides`."""
        check_word2vec_divides(options)

    @classmethod
    def options_to_grow(cls, start: Embeddings, options: Word2VecOptions) -> Word2VecOptions:
        """See `word2vec_options_to_grow`."""
        return word2vec_options_to_grow(start, options)
