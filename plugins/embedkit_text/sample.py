"""A made-up text of some 300,000 tokens, whose structure a model should find: English and Korean, known kinds."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Mapping, Sequence

from embedkit_text import sample_words as words
from embedkit_text.sample_words import KINDS as KINDS

_SENTENCES = 38_000
_SLOT = re.compile(r"\{(\w+)\}")

Row = Mapping[str, Sequence[str]]
Scene = tuple[Sequence[Sequence[str]], Sequence[Row]]
"""Sentence patterns (text and names of slots in turn), and the rows of words to fill the slots from."""


def make_sample(seed: int = 1, sentences: int = _SENTENCES) -> io.BytesIO:
    """Return English and Korean sentences, one a line, in UTF-8; the same for the same seed.

    Words of one kind (`KINDS`) stand in the same sentences; so do the two of a pair (king, queen), told apart by what
    tells man from woman; and a city and a country share their language and river.
    """
    rng = random.Random(seed)
    scenes = _scenes()
    lines = []
    for _ in range(sentences):
        patterns, rows = rng.choice(scenes)
        lines.append(_sentence(rng, rng.choice(patterns), rng.choice(rows)))
    return io.BytesIO("".join(lines).encode())


def _sentence(rng: random.Random, pattern: Sequence[str], row: Row) -> str:
    filled = [rng.choice(row[part]) if i % 2 else part for i, part in enumerate(pattern)]
    text = "".join(filled)
    return f"{text[0].upper()}{text[1:]}\n"


def _scenes() -> list[Scene]:
    """Return what there is to tell of, English half as often again as Korean."""
    english = [
        *_people(words.PAIRS_EN, words.GENDER_EN, "royalty", words.PEOPLE_EN, words.ROYALTY_EN, words.COMMON_EN),
        _scene(words.PLACE_EN, _places(words.PLACES_EN)),
        _scene(words.THINGS_EN, [KINDS]),
    ]
    korean = [
        *_people(words.PAIRS_KO, words.GENDER_KO, "왕족", words.PEOPLE_KO, words.ROYALTY_KO, words.COMMON_KO),
        _scene(words.PLACE_KO, _places(words.PLACES_KO)),
        _scene(words.THINGS_KO, [KINDS]),
    ]
    return 3 * english + 2 * korean


def _scene(patterns: Sequence[str], rows: Sequence[Row]) -> Scene:
    return [_SLOT.split(pattern) for pattern in patterns], rows


def _people(
    pairs: Sequence[tuple[str, str, str, tuple[str, ...]]],
    genders: Sequence[Row],
    royal: str,
    all_patterns: Sequence[str],
    royal_patterns: Sequence[str],
    common_patterns: Sequence[str],
) -> list[Scene]:
    scenes = []
    for is_royal, patterns in ((True, royal_patterns), (False, common_patterns)):
        rows: list[Row] = [
            {**gender, "person": (person,), "thing": things}
            for kind, male, female, things in pairs
            if (kind == royal) == is_royal
            for person, gender in zip((male, female), genders, strict=True)
        ]
        scenes.append(_scene([*all_patterns, *patterns], rows))
    return scenes


def _places(places: Sequence[tuple[str, str, str, str]]) -> list[Row]:
    slots = ("city", "country", "language", "river")
    return [{slot: (word,) for slot, word in zip(slots, place, strict=True)} for place in places]
