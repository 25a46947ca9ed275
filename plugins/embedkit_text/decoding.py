"""From the bytes of a file to UTF-8, in pieces: byte-order marks and other encodings."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator

import embedkit
from embedkit_text.files import TextFile

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def check_encoding(encoding: str) -> None:
    """Raise `OptionError` unless Python can decode this encoding piece by piece."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)  # refuses codecs such as hex, that give no text
        codecs.getincrementaldecoder(encoding)()
    except (LookupError, UnicodeError, ValueError) as error:
        problem = (
            f"{encoding!r} is none that Python knows; there are utf-8, utf-16, cp949, euc-kr, latin-1 and many more."
        )
        raise embedkit.OptionError("encoding", problem) from error


def utf8_chunks(file: TextFile, encoding: str, size: int) -> Iterator[bytes]:
    """Yield a file as UTF-8 without its byte-order mark, in pieces of about `size` bytes cut anywhere.

    What is UTF-8 already comes through unchecked.

    Raises
    ------
    embedkit.SourceError
        If the file cannot be read, or is not in that other encoding.
    """
    chunks = file.chunks(size)
    first = next(chunks, b"")
    if isinstance(first, str):
        yield _encoded(file, first.removeprefix("\ufeff"))
        for text in chunks:
            yield _encoded(file, text)
        return
    skip = 0
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        mark, encoding = next((m for m in _MARKS if first.startswith(m[0])), (b"", "utf-8"))
        skip = len(mark)
    if encoding == "utf-8":
        yield first[skip:]
        yield from chunks
    else:
        yield from _transcoded(file, encoding, first[skip:], chunks)


def _transcoded(file: TextFile, encoding: str, first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    chunk = first
    begun = False
    while True:
        following = next(chunks, b"")
        try:
            text = decoder.decode(chunk, final=not following)
        except UnicodeError as error:
            raise embedkit.SourceError(_undecodable(file.name, encoding, line, error)) from error
        yield _encoded(file, text if begun else text.removeprefix("\ufeff"))
        line += text.count("\n")
        begun = begun or bool(text)
        if not following:
            return
        chunk = following


def _undecodable(name: str, encoding: str, line: int, error: UnicodeError) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return f"{name} is not {encoding}: {error}"
    line += error.object[: error.start].decode(encoding, "ignore").count("\n")
    byte = error.object[error.start]
    return f"{name} line {line} is not {encoding} (byte 0x{byte:02X}); say what it is with --encoding."


def _encoded(file: TextFile, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise embedkit.SourceError(f"{file.name} holds half a character (U+{code:04X}, a lone surrogate).") from error
