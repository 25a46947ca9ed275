"""Vectors made elsewhere, read as Embeddings like any other."""

from embedkit.embeddings.importing.formats import FORMATS, import_vectors

__all__ = ["FORMATS", "import_vectors"]
