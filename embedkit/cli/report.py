"""What `train` says of its work: what was read, what was left out, what was made, what to do next."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from embedkit.cli.model import DEFAULT_MODEL
from embedkit.cli.terminal import short

if TYPE_CHECKING:
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings

Say = Callable[[str], None]
_TELLING_RANK = 100
_SHORT_WORD = 4


class Timer:
    """Measures laps, in seconds."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        return seconds


def tell_corpus(say: Say, corpus: Corpus, seconds: float) -> None:
    """Say what was read and what was left out, with the reasons."""
    keys = f" of {plural(len(corpus.keys), 'key')}" if corpus.keys is not None else ""
    say(
        f"Read {plural(corpus.n_tokens, 'token')} ({len(corpus.tokens):,} different) in "
        f"{plural(corpus.n_sentences, 'sentence')}{keys}, {duration(seconds)}."
    )
    if left_out := reasons(corpus.dropped):
        say(f"Left out: {left_out}.")


def reasons(dropped: Counter[str]) -> str:
    """Return what was left out, the most frequent first: `12 rows without a user, 3 empty tokens`."""
    return ", ".join(f"{number:,} {reason}" for reason, number in (+dropped).most_common())


def tell_result(say: Say, embeddings: Embeddings, output: Path, seconds: float) -> None:
    """Say what was written, and which command to go on with."""
    parts = [plural(len(embeddings.tokens), "token")]
    if embeddings.keys is not None:
        parts.append(plural(len(embeddings.keys), "key"))
    parts.append(f"{plural(embeddings.vector_size, 'number')} a vector")
    losses = list(embeddings.losses)
    made = "imported" if "imported" in embeddings.config else "trained"
    learned = f"{embeddings.config.get('trainer', made)}, "
    if losses and "epochs" in embeddings.config.get("options", {"epochs": None}):
        learned += f"{plural(len(losses), 'epoch')}, loss {losses[-1]:.4f}, "
    say(f"Wrote {output} ({size(output.stat().st_size)}): {', '.join(parts)}; {learned}{duration(seconds)}.")
    if command := next_command(embeddings, output):
        say(f"Next: {command}")


def next_command(embeddings: Embeddings, output: Path) -> str:
    """Return a command, as it is typed into a shell, that shows something of this very model."""
    verb, names = ("recommend", embeddings.keys) if embeddings.keys is not None else ("similar", embeddings.tokens)
    if not len(names):
        return ""
    candidates = names[: 2 * _TELLING_RANK]
    plain = [name for name in candidates if name.isprintable() and not name.startswith("-")] or candidates
    name = plain[0] if verb == "recommend" else _telling(plain)
    words = ["embedkit", verb]
    if output != Path(DEFAULT_MODEL):
        words += ["--model", str(output)]
    if name.startswith("-"):
        words.append("--")
    return shlex.join([*words, name])


def _telling(tokens: list[str]) -> str:
    """Return one of the most frequent tokens that says something: no number, no short word, of the usual script."""
    words = [token for token in tokens if token.isalpha()] or tokens
    alike = [token for token in words if token.isascii() == words[0].isascii()]
    long = [token for token in alike if len(token) > _SHORT_WORD or not token.isascii()] or alike
    return long[len(long) // 2]


def plural(number: int, noun: str) -> str:
    """Return `1 token`, `2,000 tokens`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return `0.8 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    if minutes < 60:
        return f"{minutes} min {int(seconds) % 60:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(n_bytes: int) -> str:
    """Return `950 B`, `12.3 kB`, `1.25 MB`."""
    text = short(n_bytes)
    return f"{text[:-1]} {text[-1]}B" if text[-1].isalpha() else f"{text} B"
