"""Ways of learning vectors, one module each; none imports numpy before it is asked to train."""

from embedkit.trainers.als import ALS
from embedkit.trainers.cbow import CBOW
from embedkit.trainers.contrastive import Contrastive
from embedkit.trainers.doc2vec import Doc2Vec
from embedkit.trainers.fasttext import FastText
from embedkit.trainers.glove import GloVe
from embedkit.trainers.skipgram import SkipGram
from embedkit.trainers.spectral import Spectral

BUILT_IN = (SkipGram, CBOW, FastText, Spectral, ALS, Contrastive, Doc2Vec, GloVe)

__all__ = ["ALS", "BUILT_IN", "CBOW", "Contrastive", "Doc2Vec", "FastText", "GloVe", "SkipGram", "Spectral"]
