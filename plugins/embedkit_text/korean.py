"""Korean by morphemes, with the optional package kiwipiepy, which brings its own model of the language."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import embedkit
from embedkit_text.tokenizers import LineTokenizer

_ENDS = (". ", "? ", "! ", "… ")
_SENTENCE = re.compile("(?<=[.?!…]) ")
_PREDICATES = ("VV", "VA", "VX", "VC")
_WRITTEN = ("SL", "SH", "SN")  # foreign letters, Chinese characters, numbers


def check_installed() -> None:
    """Raise `EmbedkitError` unless kiwipiepy is there, without the seconds that importing it takes."""
    if find_spec("kiwipiepy") is None:
        raise embedkit.missing_extra("kiwipiepy", "korean", "--tokenizer morpheme")


class MorphemeTokenizer(LineTokenizer):
    """Morphemes: nouns, particles and endings as they stand, verbs and adjectives as dictionaries have them (`먹다`).

    Punctuation and symbols are no tokens; foreign words, numbers and addresses are. Morphemes are found in each
    sentence (up to `. `, `? `, `! ` or `… `) alone, so that tokens do not depend on where a long line is cut.
    """

    cuts: tuple[tuple[bytes, ...], ...] = (*LineTokenizer.cuts, tuple(end.encode() for end in _ENDS))

    def __init__(self, lowercase: bool, lines: bool) -> None:
        check_installed()
        from kiwipiepy import Kiwi

        super().__init__(lowercase, lines)
        self._kiwi = Kiwi(num_workers=_cores())

    def find(self, lines: list[str]) -> Iterable[Iterable[str]]:
        """Return the morphemes of each line; threads of Kiwi's own work on many sentences at a time."""
        sentences = [_SENTENCE.split(line) for line in lines]
        found = iter(self._kiwi.tokenize([one for those in sentences for one in those]))
        for those in sentences:
            yield [token for _ in those for token in _tokens(next(found))]


def _tokens(morphemes: Iterable[Any]) -> Iterator[str]:
    """Yield a token for each morpheme that is no punctuation."""
    for morpheme in morphemes:
        tag: str = morpheme.tag
        if tag.startswith(_PREDICATES):
            yield morpheme.lemma
        elif not tag.startswith("S") or tag in _WRITTEN:
            yield morpheme.form


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
