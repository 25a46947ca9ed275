"""Ways of learning vectors, one module each; none imports numpy before it is asked to train."""

from embedkit.trainers.als import ALS
from embedkit.trainers.cbow import CBOW
from embedkit.trainers.skipgram import SkipGram
from embedkit.trainers.spectral import Spectral

BUILT_IN = (SkipGram, CBOW, Spectral, ALS)

__all__ = ["ALS", "BUILT_IN", "CBOW", "SkipGram", "Spectral"]
