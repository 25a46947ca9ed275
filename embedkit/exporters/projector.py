"""TensorBoard's embedding projector: a folder of `tensors.tsv`, `metadata.tsv` and `projector_config.pbtxt`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.contracts import Exporter
from embedkit.errors import EmbedkitError, ModelError
from embedkit.exporters.text import text_blocks

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings

_SHOWN = 100_000  # points that the page shows at most
_ROWS = 1 << 14
_MARK = "# Written by embedkit."
_BREAKS = str.maketrans(dict.fromkeys("\t\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", " "))


class Projector(Exporter):
    """A folder for TensorBoard's projector (`tensorboard --logdir FOLDER`) and projector.tensorflow.org."""

    name = "projector"
    keeps = frozenset({"labels", "counts"})

    def write(self, embeddings: Embeddings, target: str, options: Any) -> None:
        """Write the folder's three files; the folder may be there already.

        Raises
        ------
        EmbedkitError
            If there is a projector in it that something else wrote.
        ModelError
            If it cannot be written; the files that were there before are whole then.
        """
        from embedkit.embeddings.replacing import replacing

        folder = Path(target)
        if len(embeddings) > _SHOWN:
            self.run.say(f"TensorBoard's page draws the first {_SHOWN:,} of {len(embeddings):,} vectors.")
        with _made(folder), contextlib.ExitStack() as files:
            # Entered first, so renamed last: it says which files belong together.
            config = files.enter_context(replacing(folder / "projector_config.pbtxt"))
            metadata = files.enter_context(replacing(folder / "metadata.tsv"))
            tensors = files.enter_context(replacing(folder / "tensors.tsv"))
            for block in text_blocks(None, embeddings.vectors, "\t", self.run):
                tensors.write(block)
            changed = 0
            for lines, number in _metadata(embeddings):
                metadata.write(lines.encode())
                changed += number
            config.write(_config(embeddings).encode())
        if changed:
            self.run.say(f"{changed:,} names held tabs, line breaks or nothing, which would break their line: changed.")


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder that goes again if the block fails; one that is there must hold no other's projector."""
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{folder} is a file; the projector's three files go into a folder: name another.")
    _refuse_others(folder / "projector_config.pbtxt")
    there = folder.is_dir()
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise ModelError(f"{folder} cannot be made: there is no folder {folder.parent}; make it first.") from None
    except OSError as error:
        raise ModelError(f"{folder} cannot be made: {error.strerror or error}. Choose another place.") from error
    try:
        yield
    except BaseException:
        if not there:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _refuse_others(config: Path) -> None:
    try:
        if config.is_file() and not config.read_text(encoding="utf-8", errors="replace").startswith(_MARK):
            raise EmbedkitError(f"{config} is there already and embedkit did not write it; name another folder.")
    except OSError as error:
        raise ModelError(f"{config} cannot be read: {error.strerror or error}.") from error


def _metadata(embeddings: Embeddings) -> Iterator[tuple[str, int]]:
    """Yield lines of names, with labels and counts under a header where there are any, and how many were changed."""
    columns = ["label"] * (embeddings.labels is not None) + ["count"] * (embeddings.counts is not None)
    if columns:
        yield "\t".join(["token", *columns]) + "\n", 0
    for start in range(0, len(embeddings), _ROWS):
        rows = slice(start, start + _ROWS)
        fields = [embeddings.tokens[rows]]
        if embeddings.labels is not None:
            fields.append([label or token for label, token in zip(embeddings.labels[rows], fields[0], strict=True)])
        kept = [[_shown(text) for text in texts] for texts in fields]
        changed = sum(
            a != b for before, after in zip(fields, kept, strict=True) for a, b in zip(before, after, strict=True)
        )
        if embeddings.counts is not None:
            kept.append([str(count) for count in embeddings.counts[rows].tolist()])
        yield "".join("\t".join(line) + "\n" for line in zip(*kept, strict=True)), changed


def _shown(text: str) -> str:
    """Return text that stays within its column; a line of blanks would be passed over, and the rest shifted."""
    return text.translate(_BREAKS) if text.strip() else "(blank)"


def _config(embeddings: Embeddings) -> str:
    n, width = embeddings.vectors.shape
    return f"""{_MARK}
embeddings {{
  tensor_name: "embedkit"
  tensor_path: "tensors.tsv"
  tensor_shape: {n}
  tensor_shape: {width}
  metadata_path: "metadata.tsv"
}}
"""
