"""A model of embedkit that holds one table of vectors alone, such as may be handed out: nobody's history is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedkit.contracts import Exporter

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings


class SafetensorsModel(Exporter):
    """A safetensors file of these vectors alone, without anybody's history; a model like any other."""

    name = "safetensors"
    keeps = frozenset({"labels", "counts"})

    def write(self, embeddings: Embeddings, target: str, options: Any) -> None:
        """Write the file.

        Raises
        ------
        ModelError
            If the file cannot be written; what was there before is whole then.
        """
        embeddings.with_config(exported={"vectors": self.vectors}).save(target)
