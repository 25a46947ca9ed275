"""Continuous bag of words with negative sampling: the tokens around it predict each token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedkit.contracts import Run, Trainer
from embedkit.trainers.skipgram import NegativeSamplingOptions

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings


class CBOW(Trainer):
    """Continuous bag of words: the mean of a token's context predicts it; faster, for frequent words."""

    name = "cbow"
    Options = NegativeSamplingOptions

    def train(self, corpus: Corpus, options: NegativeSamplingOptions, run: Run) -> Embeddings:
        """Learn from the mean of each context's input vectors (Mikolov et al. 2013, arXiv 1301.3781, 1310.4546)."""
        from embedkit.trainers.word2vec import learn

        return learn(corpus, options, run, "cbow")
