"""Ways of learning vectors, one module each; none imports numpy before it is asked to train."""

from embedkit.trainers.cbow import CBOW
from embedkit.trainers.skipgram import SkipGram

BUILT_IN = (SkipGram, CBOW)

__all__ = ["BUILT_IN", "CBOW", "SkipGram"]
