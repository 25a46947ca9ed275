"""word2vec's binary format: a line `tokens numbers`, then each token, a blank, its float32 and a line break."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.contracts import Exporter
from embedkit.exporters.text import BlanksOptions, check_blanks

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings

_BLOCK = 1 << 23  # bytes of numbers
_BLANK_OR_BREAK = r"[ \n\x00]"


class Word2vecBinary(Exporter):
    """word2vec's binary file, as gensim and fastText's tools read it; small, and to the bit."""

    name = "word2vec-binary"
    endings = (".bin",)
    Options = BlanksOptions

    def write(self, embeddings: Embeddings, target: str, options: Any) -> None:
        """Write the file.

        Raises
        ------
        EmbedkitError
            If a token is empty or holds a blank or a line break.
        ModelError
            If the file cannot be written; what was there before is whole then.
        """
        import numpy as np

        from embedkit.embeddings.replacing import replacing
        from embedkit.exporters import tokens
        from embedkit.exporters.kernels_text import write_records

        check_blanks(options.blanks)
        names = tokens.without_white_space(embeddings.tokens, options.blanks, self.name, _BLANK_OR_BREAK)
        n, width = embeddings.vectors.shape
        height = max(1, _BLOCK // (4 * width))
        with replacing(Path(target)) as file:
            file.write(f"{n} {width}\n".encode())
            for start in range(0, n, height):
                numbers = np.ascontiguousarray(embeddings.vectors[start : start + height], "<f4").view(np.uint8)
                offsets = names.offsets[start : start + len(numbers) + 1]
                out = np.empty(numbers.size + int(offsets[-1] - offsets[0]) + 2 * len(numbers), np.uint8)
                file.write(out[: write_records(names.utf8, offsets, numbers, out)].data)
                self.run.progress(start + len(numbers), n, unit="rows")
