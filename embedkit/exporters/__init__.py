"""The built-in formats that vectors are written in, a module each. Importing them imports no numpy, Arrow or numba."""

from embedkit.exporters.model import SafetensorsModel
from embedkit.exporters.npz import Npz
from embedkit.exporters.parquet import Parquet
from embedkit.exporters.projector import Projector
from embedkit.exporters.text import FastTextVec, Glove, Word2vecText
from embedkit.exporters.word2vec_binary import Word2vecBinary

BUILT_IN = (Word2vecText, Word2vecBinary, Glove, FastTextVec, Npz, Parquet, Projector, SafetensorsModel)

__all__ = ["BUILT_IN"]
