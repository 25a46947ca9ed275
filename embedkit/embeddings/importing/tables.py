"""Parquet and CSV: a column of tokens, and one column of lists or many columns of numbers for the vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds

from embedkit.embeddings.importing.keys import plain_choice, read_keys
from embedkit.embeddings.importing.request import Request, check_agreement
from embedkit.embeddings.importing.rows import Rows
from embedkit.errors import ModelError, did_you_mean
from embedkit.names import Names

_BATCH = 1 << 14  # rows
_READ_AT_ONCE = 1 << 20
_CSV_BLOCK = 1 << 22  # bytes

Batches = Callable[[list[str], str | None], Iterator[Any]]


@dataclass(frozen=True)
class Table:
    """A file of columns.

    Attributes
    ----------
    path
        The file.
    schema
        Its columns, as Arrow describes them.
    batches
        From names of columns, and which of them holds tokens, to record batches that hold these.
    guessed
        Whether the types were guessed from text, where `0` may be a floating-point number.
    """

    path: Path
    schema: Any
    batches: Batches
    guessed: bool = False

    def column(self, name: str) -> Any:
        """Return the type of a column.

        Raises
        ------
        ModelError
            If there is none of that name.
        """
        if name not in self.schema.names:
            near = did_you_mean(name, self.schema.names) or f" It has: {self.listed()}."
            raise ModelError(f"{self.path} has no column {name!r}.{near}")
        self.check_single([name])
        return _plain(self.schema.field(name).type)

    def check_single(self, names: list[str]) -> None:
        """Raise `ModelError` if one of the names is that of several columns."""
        for name in names:
            if self.schema.names.count(name) > 1:
                raise ModelError(f"{self.path} has several columns named {name!r}; give each a name of its own.")

    def those(self, *tests: Callable[[Any], bool]) -> list[str]:
        """Return the names of the columns whose types pass one of the tests."""
        return [f.name for f in self.schema if any(test(_plain(f.type)) for test in tests)]

    def listed(self) -> str:
        """Return the first names of columns, for a message."""
        names = self.schema.names
        return ", ".join(names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")


def read_parquet(request: Request) -> tuple[Names, np.ndarray]:
    """Read tokens and vectors of a Parquet file."""
    with _told(request.path, "Parquet"):
        return _read(_parquet(request.path), request)


def read_csv(request: Request) -> tuple[Names, np.ndarray]:
    """Read tokens and vectors of a CSV or TSV file whose first line names the columns."""
    with _told(request.path, "CSV"):
        return _read(_csv(request.path), request)


def read_token_column(path: Path, column: str | None) -> Names:
    """Read the tokens of a table that holds no vectors, or whose vectors are not asked for."""
    form, reader = ("Parquet", _parquet) if path.suffix.lower() in (".parquet", ".pq") else ("CSV", _csv)
    with _told(path, form):
        table = reader(path)
        name = _token_column(table, column, only=len(table.schema.names) == 1)
        table.check_single([name])
        return _names([batch.column(0) for batch in table.batches([name], name)], path, name)


@contextmanager
def _told(path: Path, form: str) -> Iterator[None]:
    """Turn Arrow's errors into one line."""
    try:
        yield
    except pa.ArrowMemoryError:
        raise
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} has a column whose name is not UTF-8; save it as UTF-8.") from error
    except pa.ArrowException as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ModelError(f"{path} is no {form} file, or is damaged ({reason}); fetch or save it again.") from error
    except OSError as error:
        if error.errno:
            raise
        raise ModelError(f"{path} is damaged or cut short ({' '.join(str(error).split())}).") from error


def _parquet(path: Path) -> Table:
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(path, buffer_size=_READ_AT_ONCE, pre_buffer=False)  # else whole row groups are in memory
    return Table(path, file.schema_arrow, lambda names, token: file.iter_batches(_BATCH, columns=names))


def _csv(path: Path) -> Table:
    """Open a CSV file: numbers are told by its first block, tokens are read as the text in the file."""
    from pyarrow import csv

    parsing = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    reading = csv.ReadOptions(block_size=_CSV_BLOCK)
    with csv.open_csv(path, reading, parsing) as first:
        schema = first.schema

    def batches(names: list[str], token: str | None) -> Iterator[Any]:
        types = {name: pa.string() if name == token else pa.float32() for name in names}
        converting = csv.ConvertOptions(include_columns=names, column_types=types, strings_can_be_null=False)
        with csv.open_csv(path, reading, parsing, converting) as reader:
            yield from reader

    return Table(path, schema, batches, guessed=True)


def _read(table: Table, request: Request) -> tuple[Names, np.ndarray]:
    token = None if request.keys is not None else _token_column(table, request.token_column)
    columns = _vector_columns(table, request, token)
    names_read = columns if token is None else [*columns, token]
    table.check_single(names_read)
    tokens: list[Any] = []
    with Rows() as rows:
        done, width = 0, 0
        for batch in table.batches(names_read, token):
            block = _matrix([batch.column(name) for name in columns], table.path, done, width)
            if not len(block):
                continue
            rows.append(block)
            done, width = done + len(block), block.shape[1]
            if token is not None:
                tokens.append(batch.column(token))
        if not done:
            raise ModelError(f"{table.path} has no rows.")
        names = None if token is None else _names(tokens, table.path, token)
        if names is None:
            assert request.keys is not None
            names = read_keys(request.keys, request.token_column)
            check_agreement(names, done, str(request.keys), str(table.path))
        return names, rows.matrix()


def _token_column(table: Table, given: str | None, only: bool = False) -> str:
    """Return the column of tokens: the one that is named, else the only one of text, else of whole numbers."""
    if given is not None:
        kind = table.column(given)
        if not (_is_text(kind) or kinds.is_integer(kind)):
            raise ModelError(f"column {given!r} of {table.path} holds {kind}; tokens are text or whole numbers.")
        return given
    if only:
        return str(table.schema.names[0])
    for test in (_is_text, kinds.is_integer):
        found = table.those(test)
        if (name := plain_choice(found)) is not None:
            return name
        if found:
            break
    raise ModelError(f"say which column of {table.path} holds the tokens, with --token-column: {table.listed()}.")


def _vector_columns(table: Table, request: Request, token: str | None) -> list[str]:
    """Return the columns that make up the vectors: one of lists, or several of numbers."""
    given = request.vector_columns
    if given:
        for name in given:
            kind = table.column(name)
            if not (_is_number(kind) or (_is_list(kind) and len(given) == 1)):
                raise ModelError(
                    f"column {name!r} of {table.path} holds {kind}; a vector is one list, or many numbers."
                )
        twice = next((name for name in given if given.count(name) > 1 or name == token), None)
        if twice is not None:
            raise ModelError(f"column {twice!r} of {table.path} would be read twice; name each column once.")
        return list(given)
    lists = table.those(_is_list)
    if len(lists) == 1:
        return lists
    whole_too = table.guessed and token is not None
    numbers = [name for name in table.those(_is_number if whole_too else kinds.is_floating) if name != token]
    numbers = [name for name in numbers if name or kinds.is_floating(table.column(name))]  # pandas' index has no name
    if lists or not numbers:
        raise ModelError(f"say which column of {table.path} holds the vectors, with --vector-column: {table.listed()}.")
    others = [name for name in table.schema.names if name not in (*numbers, token)]
    aside = f"; left aside: {', '.join(name or 'one without a name' for name in others[:5])}" if others else ""
    request.say(f"the vectors are {len(numbers):,} columns of numbers, {numbers[0]} to {numbers[-1]}{aside}.")
    return numbers


def _matrix(columns: list[Any], path: Path, done: int, width: int) -> np.ndarray:
    """Return the vectors of one batch; `width` is that of those before, 0 for none."""
    if len(columns) > 1 or not _is_list(_plain(columns[0].type)):
        return np.column_stack([column.to_numpy(zero_copy_only=False) for column in columns])
    column = columns[0].storage if isinstance(columns[0], pa.ExtensionArray) else columns[0]
    if column.null_count:
        row = done + int(np.argmin(column.is_valid().to_numpy(zero_copy_only=False))) + 1
        raise ModelError(f"row {row:,} of {path} has no vector; give it one or leave it out.")
    values = column.flatten().to_numpy(zero_copy_only=False)
    if kinds.is_fixed_size_list(column.type):
        width = column.type.list_size
    elif len(column):
        lengths = column.value_lengths().to_numpy(zero_copy_only=False)
        width = width or int(lengths[0])
        other = np.flatnonzero(lengths != width)
        if len(other):
            row = done + int(other[0]) + 1
            has = int(lengths[other[0]])
            raise ModelError(f"row {row:,} of {path} has a vector of {has:,} numbers, those before have {width:,}.")
    if not width:
        raise ModelError(f"the vectors in {path} are empty.")
    return values.reshape(len(column), width)


def _names(columns: list[Any], path: Path, name: str) -> Names:
    """Return a column of tokens, in pieces, as names."""
    if not columns:
        return Names.from_strings([])
    whole = pa.chunked_array([column.cast(pa.large_string()) for column in columns]).combine_chunks()
    whole.validate(full=True)  # Parquet's readers take text for UTF-8 unseen
    if whole.null_count:
        row = int(np.argmin(whole.is_valid().to_numpy(zero_copy_only=False))) + 1
        raise ModelError(f"row {row:,} of {path} has no {name!r}; each vector needs a token.")
    return Names.from_arrow(whole)


def _plain(kind: Any) -> Any:
    """Return the type that an extension type (a tensor of fixed shape) is stored as, else the type itself."""
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _is_text(kind: Any) -> bool:
    value = kind.value_type if kinds.is_dictionary(kind) else kind
    return bool(kinds.is_string(value) or kinds.is_large_string(value))


def _is_number(kind: Any) -> bool:
    return bool(kinds.is_floating(kind) or kinds.is_integer(kind))


def _is_list(kind: Any) -> bool:
    lists = kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
    return bool(lists) and _is_number(kind.value_type)
