"""From a file of vectors, in any of the formats, to Embeddings that have been checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from embedkit.embeddings.embeddings import Embeddings
from embedkit.embeddings.importing.request import Request, Say
from embedkit.embeddings.importing.rows import first_not_finite, unit_rows
from embedkit.errors import ModelError, OptionError, did_you_mean
from embedkit.names import Names

FORMATS = {
    "npy": (".npy",),
    "npz": (".npz",),
    "parquet": (".parquet", ".pq"),
    "csv": (".csv", ".tsv"),
    "safetensors": (".safetensors",),
    "vec": (".vec", ".txt"),
    "word2vec-binary": (),
    "fasttext-bin": (),
}
"""The formats by name, and the endings that tell them; `.bin` is told by its first bytes."""

_FASTTEXT_MAGIC = (793712314).to_bytes(4, "little")
_GZIP_MAGIC = b"\x1f\x8b\x08"


def import_vectors(
    path: str | os.PathLike[str],
    *,
    form: str | None = None,
    keys: str | os.PathLike[str] | None = None,
    token_column: str | None = None,
    vector_columns: str | Iterable[str] = (),
    unit: bool = False,
    say: Say = lambda message: None,
) -> Embeddings:
    """Read vectors that were made elsewhere.

    Large files are read block by block; float32 stays in its file, memory-mapped.

    Parameters
    ----------
    path
        A file of one of `FORMATS`, or a model of embedkit.
    form
        The format's name; None: as the file's ending tells.
    keys
        A file with a token for each row: one a line, a JSON list, or a column of CSV, TSV or Parquet.
    token_column, vector_columns
        Where in the file (for the tokens: in `keys`, if that is given) they are, by name; needed where that is not
        plain. Many columns of numbers make a vector together.
    unit
        Whether each vector is scaled to length 1, so that scores are cosines.
    say
        Receives a line about what was converted.

    Raises
    ------
    ModelError
        For a file that is missing, damaged, cut short, of another format; for numbers that are not finite, keys that
        stand twice, are empty or do not agree with the vectors in number. Pickled objects are never read.
    """
    path = Path(path)
    columns = (vector_columns,) if isinstance(vector_columns, str) else tuple(vector_columns)
    request = Request(path, None if keys is None else Path(keys), token_column, columns, say)
    try:
        _check_file(path)
        form = form or format_of(path)
        made = _reader(form)(request)
    except OSError as error:
        raise ModelError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from error
    emb = made if isinstance(made, Embeddings) else Embeddings(*made)
    _check(emb, path)
    if unit:
        emb = _scaled(emb, path, say)
    return emb.with_config(imported={"format": form, "unit": unit})


def format_of(path: Path) -> str:
    """Return the format that a file's ending, or for `.bin` its beginning, tells.

    Raises
    ------
    ModelError
        If it tells none.
    """
    name = path.name.lower()
    for form, endings in FORMATS.items():
        if name.endswith(endings):
            return form
    if name.endswith(".bin"):
        with path.open("rb") as file:
            return "fasttext-bin" if file.read(4) == _FASTTEXT_MAGIC else "word2vec-binary"
    if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".joblib")):
        raise ModelError(
            f"{path} is a pickle, which could run any code: save its vectors with numpy.save or as Parquet."
        )
    raise ModelError(f"the ending of {path} tells no format; name it with --from: {', '.join(FORMATS)}.")


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ModelError(f"{path} is a folder; name the file of vectors in it.")
    if not path.exists():
        raise ModelError(f"there is no file {path}; check the path.")
    if path.stat().st_size == 0:
        raise ModelError(f"{path} is empty; fetch or save it again.")
    with path.open("rb") as file:
        if file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC:
            raise ModelError(f"{path} is packed with gzip; unpack it (gunzip) and import what comes out.")


def _reader(form: str) -> Callable[[Request], Embeddings | tuple[Names, np.ndarray]]:
    """Return the reader of a format; each is imported when it is used."""
    if form in ("npy", "npz"):
        from embedkit.embeddings.importing import arrays

        return arrays.read_npy if form == "npy" else arrays.read_npz
    if form in ("parquet", "csv"):
        from embedkit.embeddings.importing import tables

        return tables.read_parquet if form == "parquet" else tables.read_csv
    if form == "safetensors":
        from embedkit.embeddings.importing.tensors import read_tensors

        return read_tensors
    if form == "word2vec-binary":
        from embedkit.embeddings.importing.word2vec_binary import read_word2vec_binary

        return read_word2vec_binary
    if form not in FORMATS:
        near = did_you_mean(form, FORMATS)
        raise OptionError("from", f"must be one of {', '.join(FORMATS)}; got {form!r}.{near}")
    return lambda request: _read_fasttext(form, request)


def _read_fasttext(form: str, request: Request) -> Embeddings | tuple[Names, np.ndarray]:
    request.own_tokens()
    request.without_columns()
    if form == "vec":
        from embedkit.embeddings.word2vec_text import read_vec

        return read_vec(request.path)
    from embedkit.embeddings.fasttext_bin import read_bin

    return read_bin(request.path)


def _check(emb: Embeddings, path: Path) -> None:
    """Refuse keys that are empty or stand twice, and numbers that are not finite."""
    if not len(emb):
        raise ModelError(f"{path} holds no vectors.")
    tokens = emb.tokens
    empty = np.flatnonzero(np.diff(tokens.offsets) == 0)
    if len(empty):
        raise ModelError(f"the key of row {int(empty[0]) + 1} of {path} is empty; each vector needs one.")
    twice = tokens.first_duplicate()
    if twice is not None:
        first, second = [row for row, token in enumerate(tokens, 1) if token == twice][:2]
        raise ModelError(
            f"the key {twice!r} stands twice in {path}, in rows {first:,} and {second:,}; keys must be distinct."
        )
    row = first_not_finite(emb.vectors)
    if row >= 0:
        raise ModelError(
            f"the vector of {tokens[row]!r} (row {row + 1:,} of {path}) holds a number that is missing, not finite or "
            "too large for float32; mend it or leave it out."
        )


def _scaled(emb: Embeddings, path: Path, say: Say) -> Embeddings:
    """Return the embeddings with vectors of length 1."""
    if emb.context_vectors is not None or emb.keys is not None or emb.arrays:
        raise ModelError(f"{path} is a model, whose parts go together and cannot be scaled: leave out --unit.")
    vectors, zeros = unit_rows(emb.vectors)
    if zeros:
        say(f"{zeros:,} of the vectors are all zeros and stay so.")
    return Embeddings(
        emb.tokens,
        vectors,
        counts=emb.counts,
        labels=emb.labels,
        query=emb.query,
        config=emb.config,
        losses=emb.losses,
    )
