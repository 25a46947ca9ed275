"""Damage done to files: at random bytes, and where it hurts most, in what tells of sizes, places and types.

Everything is drawn from one `random.Random`, so that a case can be made again from its number.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import math
import random
import struct
import zipfile
from collections.abc import Callable

import numpy as np

from embedkit.embeddings.safetensors import CHECKSUM

WHOLE_NUMBERS = (
    0, 1, -1, 2, 255, 2**15, 2**31 - 1, 2**31, 2**32, 2**40, 2**53 + 1, 2**62, 2**63 - 1, -(2**31), -(2**63),
)  # fmt: skip
WORDS = (
    b"9", b"0", b"-", b"{", b"}", b'"', b"'", b"[", b"]", b"e", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\n", b"\r",
    b"\r\n", b",", b"\t", b";", b"::", b" ", b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b"99999999999999999999", b"-1",
    b"1e308", b"1e999", b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"null", b"true", b"18446744073709551616",
    b"1e-400", b"0x10", b"\xd9\xa3",
    b"[" * 5000, b'{"a":' * 3000, b"a" * 70_000, b'"' * 999, b"\n" * 999, b"%", b"#", b"\\u0000", b"\\ud800", b"1_0",
)  # fmt: skip


def mutated(chance: random.Random, data: bytes, form: str) -> bytes:
    """Return a damaged copy: half of the time in the way of its form, else anyhow."""
    special = FORMS.get(form)
    if special is not None and chance.random() < 0.6:
        with contextlib.suppress(Exception):  # damage on damage may leave nothing of the form
            return special(chance, data)
    return _anyhow(chance, data)


def _anyhow(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    early = chance.random() < 0.4  # headers lie at the beginning
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        if len(changed) < 2:
            break
        where = chance.randrange(min(len(changed), 256) if early else len(changed))
        chance.choice(_BYTES)(chance, changed, where)
    return bytes(changed)


def _flip(chance: random.Random, data: bytearray, at: int) -> None:
    data[at] ^= 1 << chance.randrange(8)


def _set(chance: random.Random, data: bytearray, at: int) -> None:
    data[at] = chance.randrange(256)


def _cut_out(chance: random.Random, data: bytearray, at: int) -> None:
    del data[at : at + chance.randrange(1, 64)]


def _put_in(chance: random.Random, data: bytearray, at: int) -> None:
    data[at:at] = chance.randbytes(chance.randrange(1, 16))


def _truncate(chance: random.Random, data: bytearray, at: int) -> None:
    del data[at + 1 :]


def _lengthen(chance: random.Random, data: bytearray, at: int) -> None:
    data += bytes(chance.choice((1, 7, 64, 5000))) if chance.random() < 0.5 else data[at : at + 5000]


def _word(chance: random.Random, data: bytearray, at: int) -> None:
    data[at : at + chance.choice((0, 1))] = chance.choice(WORDS)


def _number(chance: random.Random, data: bytearray, at: int) -> None:
    """Write a number over four or eight bytes, some of the time one near to what they are."""
    size = chance.choice((4, 8))
    at -= at % chance.choice((1, size))
    if at + size > len(data):
        return
    before = int.from_bytes(data[at : at + size], "little")
    number = before + chance.choice((-1, 1, 2, 1 << 16)) if chance.random() < 0.3 else chance.choice(WHOLE_NUMBERS)
    data[at : at + size] = (number % (1 << (8 * size))).to_bytes(size, "little")


def _real(chance: random.Random, data: bytearray, at: int) -> None:
    at -= at % 4
    if at + 4 <= len(data):
        data[at : at + 4] = struct.pack("<f", chance.choice((math.nan, math.inf, -math.inf, 3.4e38, 1e-45, -0.0)))


def _repeat(chance: random.Random, data: bytearray, at: int) -> None:
    piece = bytes(data[at : at + chance.randrange(1, 200)])
    data[at:at] = piece * chance.choice((1, 3, 100))


def _swap(chance: random.Random, data: bytearray, at: int) -> None:
    n, other = chance.randrange(1, 100), chance.randrange(len(data))
    data[at : at + n], data[other : other + n] = data[other : other + n], data[at : at + n]


_BYTES = (
    _flip, _flip, _set, _cut_out, _put_in, _truncate, _lengthen, _word, _word, _number, _number, _real, _repeat, _swap,
)  # fmt: skip


def _text(chance: random.Random, data: bytes) -> bytes:
    """Exchange cells of a table or words of a text for what nobody expects there, or whole lines for others."""
    breaks = {ord(c) for c in " \t,;\n|:"}
    changed = data
    for _ in range(chance.choice((1, 1, 2, 6))):
        if not changed:
            break
        start = stop = chance.randrange(len(changed))
        while start and changed[start - 1] not in breaks:
            start -= 1
        while stop < len(changed) and changed[stop] not in breaks:
            stop += 1
        lines = changed.split(b"\n")
        kind = chance.randrange(6)
        if kind < 4:
            changed = changed[:start] + chance.choice(WORDS) + changed[stop:]
        elif kind == 4:
            chance.shuffle(lines)
            changed = b"\n".join(lines)
        else:
            lines.insert(chance.randrange(len(lines)), chance.choice(lines)[: chance.randrange(1, 99)])
            changed = b"\n".join(lines)
    return changed


def _json(chance: random.Random, data: bytes) -> bytes:
    """Exchange values within JSON, a document or one a line."""
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    lines[at] = json.dumps(_other_value(chance, json.loads(lines[at]))).encode()
    return b"\n".join(lines)


ODD_VALUES = (
    None, True, 0, -1, 1.5, 2**31, 2**63, 2**64, 10**30, 1e308, float("nan"), float("inf"), "", "x", "\0", "\ud800",
    [], {}, [[]], {"a": {"a": 1}}, "../../etc", "sum", "mean", [1, 2], 10**6,
)  # fmt: skip


def _other_value(chance: random.Random, value: object) -> object:
    """Return JSON of which one value, somewhere, is another, is gone or has a sibling."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        if chance.random() < 0.15:
            return {key: item for key, item in value.items() if key != name}
        return {**value, name: _other_value(chance, value[name])}
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        return [*value[:at], _other_value(chance, value[at]), *value[at + chance.choice((0, 1, 1, 1)) :]]
    return chance.choice(ODD_VALUES)


def _gzip(chance: random.Random, data: bytes) -> bytes:
    return gzip.compress(mutated(chance, gzip.decompress(data), "text"), 1)


def _zip(chance: random.Random, data: bytes) -> bytes:
    """Damage one file of an archive, or what the archive tells of it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as given, zipfile.ZipFile(made, "w") as archive:
        names = given.namelist()
        victim = chance.choice(names)
        for name in names:
            inner = given.read(name)
            if name == victim:
                if chance.random() < 0.15:
                    continue
                inner = mutated(chance, inner, "npy")
            archive.writestr(name, inner, chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    return made.getvalue()


def _npy(chance: random.Random, data: bytes) -> bytes:
    """Write another header before the numbers of an array: absurd shapes, types and orders."""
    length = int.from_bytes(data[8:10], "little")
    numbers = [0, 1, 3, 20, 2**31, 2**40, 2**62, 2**63, 10**25, -1, True, 1.5, "x"]
    shape = tuple(chance.choice(numbers) for _ in range(chance.choice((0, 1, 2, 2, 2, 3, 40))))
    dtypes = ["<f4", "<f8", ">f4", "<i8", "|u1", "<U5", "<U100000000", "|O", "|V8", "<c8", "<M8[s]", "|b1", "f4,i4"]
    header = {"descr": chance.choice(dtypes), "fortran_order": chance.choice((False, True, 1, "x")), "shape": shape}
    if chance.random() < 0.2:
        header.pop(chance.choice(list(header)))
    text = repr(header) if chance.random() < 0.9 else "(" * chance.choice((50, 3000)) + repr(header)
    encoded = text.encode()
    encoded += b" " * (-(len(encoded) + 11) % 64) + b"\n"
    if len(encoded) > 65_535:
        raise ValueError
    return data[:8] + len(encoded).to_bytes(2, "little") + encoded + data[10 + length :]


def _header(chance: random.Random, data: bytes) -> bytes:
    """Damage the header of a safetensors file alone."""
    return _tensors(chance, data, kinds=4)


def _tensors(chance: random.Random, data: bytes, kinds: int = 8) -> bytes:
    """Damage a safetensors file: its header as JSON, its description, or its arrays; often with the right checksum."""
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    arrays = {name: entry for name, entry in header.items() if name != "__metadata__"}
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        kind = chance.randrange(kinds)
        if kind == 0:
            header = _other_value(chance, header)
        elif kind == 1:
            name = chance.choice(list(arrays))
            header[name] = _other_value(chance, header[name])
        elif kind in (2, 3):
            header["__metadata__"] = _described_otherwise(chance, header["__metadata__"])
        elif kind in (4, 5, 6):
            body = _other_numbers(chance, body, header[chance.choice(list(arrays))])
        else:
            header, body = _resized(chance, header, body, chance.choice(list(arrays)))
        if not isinstance(header, dict):
            break
    text = json.dumps(header, ensure_ascii=chance.random() < 0.5, separators=(",", ":")).encode(errors="surrogatepass")
    text += b" " * (-(8 + len(text)) % 64)
    made = len(text).to_bytes(8, "little") + text + body
    return with_checksum(made) if chance.random() < 0.8 else made


def _described_otherwise(chance: random.Random, metadata: dict) -> dict:
    """Return metadata of which one string, JSON itself, says something else."""
    name = chance.choice([name for name in metadata if name != CHECKSUM])
    return {**metadata, name: json.dumps(_other_value(chance, json.loads(metadata[name])))}


def _other_numbers(chance: random.Random, body: bytes, entry: dict) -> bytes:
    """Set some numbers of an array to others: not finite, out of range, out of order."""
    begin, end = entry["data_offsets"]
    kind = np.dtype({"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U64": "<u8"}.get(entry["dtype"], "u1"))
    array = np.frombuffer(body[begin:end], kind).copy()
    if not len(array):
        return body
    at = chance.sample(range(len(array)), min(len(array), chance.choice((1, 2, 9))))
    what = chance.randrange(5)
    if what == 0:
        array[at] = np.roll(array[at], 1)
    elif what == 1:
        array = array[::-1].copy()
    elif kind.kind == "f":
        values = (np.nan, np.inf, -np.inf, 3.4e38, -1.0, 0.0, 1e-45)
        array[at if what < 4 else slice(None)] = chance.choice(values)
    else:
        least, most = np.iinfo(kind).min, np.iinfo(kind).max
        number = chance.choice((0, 1, -1, len(array), len(array) + 1, int(array.max()) + 1, 10**6, least, most))
        array[at if what < 4 else slice(None)] = min(max(number, least), most)
    return body[:begin] + array.tobytes() + body[end:]


def _resized(chance: random.Random, header: dict, body: bytes, name: str) -> tuple[dict, bytes]:
    """Give an array other rows, columns, or another type, and everything behind it its place, as if it were meant."""
    entry = header[name]
    begin, end = entry["data_offsets"]
    shape = list(entry["shape"])
    size = (end - begin) // max(1, math.prod(shape))
    how = chance.randrange(3)
    if how == 0 and shape:
        at = chance.randrange(len(shape))
        shape[at] = max(0, shape[at] + chance.choice((-1, 1, -shape[at], 7)))
        dtype = entry["dtype"]
    elif how == 1:
        shape = chance.choice(([math.prod(shape)], [1, *shape], [*shape, 1], shape[::-1]))
        dtype = entry["dtype"]
    else:
        dtype = chance.choice(("F32", "F64", "I64", "I32", "U8", "BOOL", "F16", "BF16"))
        size = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}.get(dtype, 1)
    new = math.prod(shape) * size
    piece = (body[begin:end] * (new // max(1, end - begin) + 1))[:new] if end > begin else bytes(new)
    moved = {
        other: value
        if other in ("__metadata__", name) or value["data_offsets"][0] < end
        else {**value, "data_offsets": [place + new - (end - begin) for place in value["data_offsets"]]}
        for other, value in header.items()
    }
    moved[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + new]}
    return moved, body[:begin] + piece + body[end:]


def with_checksum(data: bytes) -> bytes:
    """Return a file with the checksum that it should have, where it has a place for one."""
    import hashlib

    length = int.from_bytes(data[:8], "little")
    place = data.find(f'"{CHECKSUM}":"'.encode(), 8, 8 + length) + len(CHECKSUM) + 4
    if place < len(CHECKSUM) + 4 or place + 32 > 8 + length:
        return data
    blank = data[:place] + b"0" * 32 + data[place + 32 :]
    return data[:place] + hashlib.blake2b(blank, digest_size=16).hexdigest().encode() + data[place + 32 :]


FORMS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "text": _text, "json": _json, "gzip": _gzip, "zip": _zip, "npy": _npy, "tensors": _tensors, "header": _header,
}  # fmt: skip
