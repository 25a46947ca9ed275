"""Paragraph vectors: vectors of documents, or of users, learned with those of their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from embedkit.contracts import Run, Trainer
from embedkit.errors import OptionError
from embedkit.options import option

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings


@dataclass(frozen=True)
class Doc2VecOptions:
    """How keys' vectors are learned; the names are those of skip-gram and CBOW."""

    vector_size: int = option(100, "Numbers in a vector.", minimum=1, maximum=100_000)
    architecture: Literal["dbow", "dm"] = option(
        "dbow",
        "Predict each token from its key alone (distributed bag of words), or from the key and the tokens around it "
        "(distributed memory).",
    )
    window: int = option(5, "With 'dm': tokens of context on each side.", minimum=1, maximum=10_000)
    shrink_windows: bool = option(True, "Draw each window's size from 1 to WINDOW, so that near tokens count more.")
    negative: int = option(5, "Noise tokens for each true one.", minimum=1, maximum=1000)
    ns_exponent: float = option(
        0.75, "Draw noise by count to this power: 1 by frequency, 0 evenly, below 0 the rare ones more.",
        minimum=-10, maximum=10,
    )  # fmt: skip
    sample: float = option(
        1e-3, "Thin out tokens more frequent than about this share of the corpus; 0 keeps all.", minimum=0, maximum=1
    )
    alpha: float = option(0.05, "Learning rate at the start.", above=0, maximum=100)
    min_alpha: float = option(0.0001, "Learning rate at the end; it falls linearly.", minimum=0, maximum=100)
    epochs: int = option(20, "Passes over the corpus.", minimum=1, maximum=1_000_000)
    workers: int | None = option(
        None, "Threads. Without it, all cores, but one below 2 million tokens, so that results repeat.", minimum=1,
        maximum=1024,
    )  # fmt: skip
    seed: int = option(1, "Seed of all that is drawn; with one worker the same seed gives the same bits.", minimum=0)

    def __post_init__(self) -> None:
        """Check what concerns two options at once."""
        if self.min_alpha > self.alpha:
            raise OptionError("min_alpha", f"must not exceed alpha; got {self.min_alpha:g} above {self.alpha:g}.")


class Doc2Vec(Trainer):
    """Paragraph vectors of documents or users, beside their tokens' (Doc2Vec)."""

    name = "doc2vec"
    resumes = True
    Options = Doc2VecOptions

    def train(self, corpus: Corpus, options: Doc2VecOptions, run: Run) -> Embeddings:
        """Learn by predicting a key's tokens (Le and Mikolov 2014, arXiv 1405.4053)."""
        from embedkit.trainers.sampling.doc2vec_learning import learn

        return learn(corpus, options, run)

    @classmethod
    def options_to_grow(cls, start: Embeddings, options: Doc2VecOptions) -> Doc2VecOptions:
        """Return the options as they are; a model that does not tell what 'infer' goes by is refused."""
        from embedkit.trainers.sampling.doc2vec_learning import fold_in_of

        fold_in_of(start)
        return options
