"""The sentences read once: vocabulary, ids, histories."""

from embedkit.corpus.corpus import Corpus

__all__ = ["Corpus"]
