"""Vectors as text: a line a token, its numbers in the fewest digits that are read back as the same float32."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from embedkit.contracts import Exporter, Run
from embedkit.errors import EmbedkitError, OptionError
from embedkit.options import option

if TYPE_CHECKING:
    import numpy as np

    from embedkit.embeddings import Embeddings
    from embedkit.names import Names

_NUMBERS = 1 << 19  # formatted at a time


@dataclass(frozen=True)
class BlanksOptions:
    """What to do about tokens that hold blanks."""

    blanks: str | None = option(
        None, "What takes the place of white space in tokens, such as _; without it they are refused.", metavar="TEXT"
    )


def check_blanks(blanks: str | None) -> None:
    """Raise `OptionError` for a replacement that holds white space itself."""
    if blanks is not None and re.search(r"[\s\0]", blanks):
        raise OptionError("blanks", f"must hold no white space itself; got {blanks!r}.")


class _Text(Exporter):
    """A line for each token: the token, then its numbers, parted by blanks."""

    Options = BlanksOptions
    header: ClassVar[bool] = True

    def write(self, embeddings: Embeddings, target: str, options: Any) -> None:
        """Write the file.

        Raises
        ------
        EmbedkitError
            If a token holds what the format cannot.
        ModelError
            If the file cannot be written; what was there before is whole then.
        """
        from embedkit.embeddings.replacing import replacing
        from embedkit.exporters import tokens

        check_blanks(options.blanks)
        names = tokens.without_white_space(embeddings.tokens, options.blanks, self.name)
        if told := tokens.other_white_space(names):
            self.run.say(told)
        n, width = embeddings.vectors.shape
        if not self.header:
            _refuse_what_looks_like_a_header(names, width)
        with replacing(Path(target)) as file:
            if self.header:
                file.write(f"{n} {width}\n".encode())
            for block in text_blocks(names, embeddings.vectors, " ", self.run):
                file.write(block)


class Word2vecText(_Text):
    """word2vec's text, as gensim writes it: a line `tokens numbers`, then a token a line."""

    name = "word2vec"
    endings = (".txt", ".vec", ".w2v", ".word2vec")


class Glove(_Text):
    """GloVe's text: a token a line, without a first line that tells how many."""

    name = "glove"
    endings = (".txt", ".glove")
    header = False


class FastTextVec(_Text):
    """fastText's .vec: word2vec's text, as `-pretrainedVectors` takes it."""

    name = "vec"
    endings = (".vec",)


def _refuse_what_looks_like_a_header(names: Names, width: int) -> None:
    if width == 1 and len(names) and names[0].isdigit():
        raise EmbedkitError(
            f"a line of {names[0]!r} and one number looks like the first line of word2vec; export to vec."
        )


def text_blocks(names: Names | None, vectors: np.ndarray, parting: str, run: Run) -> Iterator[Any]:
    """Yield lines of text, some megabytes at a time.

    Parameters
    ----------
    names
        The token that each line begins with; None for numbers alone.
    vectors
        float32 (n × d), finite.
    parting
        One character between the fields of a line.
    run
        Is told how far it is.
    """
    import numpy as np

    from embedkit.exporters.kernels_text import LONGEST, write_lines

    n, width = vectors.shape
    height = max(1, _NUMBERS // width)
    none = np.empty(0, np.int64)
    for start in range(0, n, height):
        rows = np.ascontiguousarray(vectors[start : start + height])
        offsets = none if names is None else names.offsets[start : start + len(rows) + 1]
        token_bytes = int(offsets[-1] - offsets[0]) if len(offsets) else 0
        out = np.empty(rows.size * LONGEST + len(rows) + token_bytes, np.uint8)
        utf8 = np.empty(0, np.uint8) if names is None else names.utf8
        written = write_lines(utf8, offsets, rows, rows.view(np.uint32), ord(parting), out)
        yield out[:written].data
        run.progress(start + len(rows), n, unit="rows")
