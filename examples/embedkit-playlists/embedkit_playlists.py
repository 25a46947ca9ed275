"""Playlists as sentences: an embedkit plugin in one module."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import embedkit

MOODS = {
    "quiet": ["Slow River", "Paper Boats", "Snow at Noon", "The Long Way Down", "Lamplight"],
    "loud": ["Engine Room", "Broken Siren", "Red Amplifier", "Concrete Teeth", "No Brakes"],
    "sunny": ["Lemon Street", "Barefoot Again", "Kites", "Postcard from Nowhere", "Open Windows"],
}


class Playlists(embedkit.Source):
    """Playlists (.m3u, .m3u8): a playlist is a sentence, its songs the tokens, its name the key."""

    name = "playlists"
    defaults = {"window": "sentence", "min_count": 1, "epochs": 20}

    @dataclass(frozen=True)
    class Options:
        """Where the playlists are."""

        input: Any = embedkit.option((), "Playlist files, or folders to look for them in.", metavar="PATH")

    def sentences(self) -> Iterator[embedkit.Sentence]:
        """Yield a sentence for each playlist that has songs."""
        for name, lines in self._playlists():
            songs = list(read_songs(lines))
            if songs:
                yield embedkit.Sentence(songs, key=name)
            else:
                self.dropped["playlists without songs"] += 1

    @classmethod
    def sample(cls) -> dict[str, list[str]]:
        """Make 120 playlists of three moods: name → lines."""
        random = Random(1)
        moods = list(MOODS)
        return {
            f"{moods[i % 3]} mix {i // 3 + 1}": [f"{song}.ogg" for song in random.sample(MOODS[moods[i % 3]], 4)]
            for i in range(120)
        }

    def _playlists(self) -> Iterator[tuple[str, list[str]]]:
        if isinstance(self.options.input, dict):
            yield from self.options.input.items()
            return
        for path in self._files():
            try:
                text = path.read_text(encoding="utf-8-sig")
            except OSError as error:
                raise embedkit.SourceError(f"cannot read {path}: {error.strerror}; check --input.") from error
            except UnicodeDecodeError as error:
                raise embedkit.SourceError(f"{path} is not UTF-8; save it as .m3u8.") from error
            yield path.stem, text.splitlines()

    def _files(self) -> Iterator[Path]:
        for given in map(Path, self.options.input):
            if not given.is_dir():
                yield given
                continue
            found = sorted([*given.rglob("*.m3u"), *given.rglob("*.m3u8")])
            if not found:
                raise embedkit.SourceError(f"{given} holds no .m3u or .m3u8 file; give another folder to --input.")
            yield from found


def read_songs(lines: list[str]) -> Iterator[str]:
    """Yield the songs of a playlist: an `#EXTINF` line's title where there is one, else the file's name."""
    title = ""
    for line in map(str.strip, lines):
        if line.startswith("#EXTINF:"):
            title = line.partition(",")[2].strip()
        elif line and not line.startswith("#"):
            yield title or line.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or line
            title = ""


@embedkit.hookimpl
def register_sources(register: Any) -> None:
    """Tell embedkit of the source."""
    register(Playlists)
