"""Small files that become large: ten megabytes of gzip that unpack to ten gigabytes; what memory they take."""

from __future__ import annotations

import bz2
import json
import lzma
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from measure import whole_process

MOST = 200  # MiB above what the same reader takes for a small file
_READ = {
    "text": "embedkit.read('text', input=path)",
    "lines": "embedkit.read('sessions', input=path, layout='lines')",
    "sessions": "embedkit.read('sessions', input=path)",
    "graph": "embedkit.read('graph', input=path)",
    "import": "embedkit.import_vectors(path)",
    "model": "embedkit.load(path)",
}
_CHILD = """
import json, sys, embedkit
path = sys.argv[1]
try:
    {call}
    said = 'read'
except embedkit.EmbedkitError as error:
    said = f'refused: {{error}}'
print(json.dumps({{'said': said}}))
"""


def run(folder: Path, gigabytes: float = 10) -> int:
    """Make and read each; print what came of it, and return the exit status.

    Memory is that of the process alone: what lies in mapped files of the work folder is not counted.
    """
    failed = 0
    for name, reader, bomb, small in _bombs(folder, int(gigabytes * 2**30)):
        command = [sys.executable, "-c", _CHILD.format(call=_READ[reader])]
        before = whole_process([*command, str(small)]).peak
        measured = whole_process([*command, str(bomb)])
        taken = measured.peak - before
        failed += taken > MOST
        print(
            f"{'FOUND: ' if taken > MOST else ''}{name}: {bomb.stat().st_size / 2**20:.1f} MiB, {taken:.0f} MiB of "
            f"memory more than for a small file, {measured.wall:.0f} s; {measured.report['said'][:160]}",
            flush=True,
        )
        bomb.unlink()
    print(f"bombs: failures: {failed}")
    return int(failed > 0)


def _bombs(folder: Path, size: int) -> Iterator[tuple[str, str, Path, Path]]:
    """Yield name, reader, bomb and a small file of the kind."""
    small = folder / "small.txt"
    small.write_text("a b c d\n" * 9)
    table = folder / "small.csv"
    table.write_text("user,item\nu,i\nv,i\n" * 3)
    edges = folder / "small.edges"
    edges.write_text("a b\nb c\n")
    for name, line in (("spaces", b" " * 1024), ("words", b"word " * 200 + b"\n"), ("one word", b"w" * 1024)):
        yield f"text, gzip of {name}", "text", _gzipped(folder / "bomb.txt.gz", line, size), small
    yield "lines, gzip of one line", "lines", _gzipped(folder / "bomb.txt.gz", b"word " * 200, size // 4), small
    yield "sessions, gzip of one line", "sessions", _gzipped(folder / "bomb.csv.gz", b"x" * 1024, size), table
    commas = b"user,item\n" + b"," * 1000
    yield "sessions, gzip of commas", "sessions", _gzipped(folder / "bomb.csv.gz", commas, size), table
    yield "graph, gzip of one line", "graph", _gzipped(folder / "bomb.txt.gz", b"x" * 1024, size), edges
    for ending, module in (("bz2", bz2), ("xz", lzma)):
        path = folder / f"bomb.txt.{ending}"
        path.write_bytes(module.compress(b" " * 2**28) * max(1, size >> 28))
        yield f"text, {ending} of spaces", "text", path, small
    npz = folder / "small.npz"
    _npz(npz, 3, b"\0" * 48, [b"a", b"b", b"c"])
    bomb = folder / "bomb.npz"
    _npz(bomb, size // 16, None, [b"a"])
    yield "npz of zeros", "import", bomb, npz
    model = folder / "bomb.safetensors"
    for name, piece in (("of lists", b"[],"), ("of objects", b"{},"), ("of numbers", b"0,"), ("of strings", b'"a",')):
        text = b'{"a":[' + piece * (3_900_000 // len(piece)) + b"0]}"
        model.write_bytes(len(text).to_bytes(8, "little") + text)
        yield f"model, header {name}", "model", model, folder / "missing.safetensors"
    text = b'{"__metadata__":{"embedkit":' + json.dumps('{"a":' * 600_000).encode() + b"}}"
    model.write_bytes(len(text).to_bytes(8, "little") + text)
    yield "model, description of deep JSON", "model", model, folder / "missing.safetensors"
    huge = (1 << 63) - 1
    model.write_bytes(huge.to_bytes(8, "little") + b"{}" * 20)
    yield "model, header of 2^63 bytes", "model", model, folder / "missing.safetensors"


def _gzipped(path: Path, piece: bytes, size: int) -> Path:
    """Write a gzip file of a piece over and over."""
    block = piece * max(1, 2**24 // len(piece))
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    with open(path, "wb") as file:
        for _ in range(size // len(block)):
            file.write(packer.compress(block))
        file.write(packer.flush())
    return path


def _npz(path: Path, n: int, numbers: bytes | None, words: list[bytes]) -> None:
    """Write an archive of n × 4 float32 and of words."""
    import zipfile

    header = _header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, 4)}}")
    text = b"".join(word.decode().encode("utf-32-le") for word in words)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("vectors.npy", "w", force_zip64=True) as file:
            file.write(header)
            for _ in range(0 if numbers else n // 2**20):
                file.write(bytes(16 * 2**20))
            file.write(numbers or bytes(16 * (n % 2**20)))
        header = _header(f"{{'descr': '<U1', 'fortran_order': False, 'shape': ({len(words)},)}}")
        archive.writestr("keys.npy", header + text)


def _header(text: str) -> bytes:
    encoded = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(encoded)) + encoded


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        sys.exit(run(Path(name), float(sys.argv[1]) if len(sys.argv) > 1 else 10))
