"""The source's own sample: users with tastes, items of known genres, made by a generator and always the same."""

from __future__ import annotations

from typing import Any

USERS = 400
_SEED = 7
_BEGIN, _DAYS = 1_767_225_600, 300  # seconds: 1 January 2026 (UTC)
_AT_HOME = 0.9  # the share of a user's interactions that lie in the genres the user likes

_WORDS = {
    "space film": "Silver Distant Frozen Crimson Hollow Last | Orbit Comet Nebula Moonbase Starship",
    "mystery film": "Silent Locked Vanished Midnight Crooked Second | Lighthouse Witness Alibi Cellar Inspector",
    "romance film": "Tender Borrowed Summer Unsent Rainy Blushing | Letter Wedding Promise Valentine Waltz",
    "jazz record": "Blue Smoky Lazy Brass Uptown Velvet | Saxophone Swing Trumpet Quartet Syncopation",
    "folk record": "Old Wandering Barefoot Harvest Mountain Lonesome | Fiddle Ballad Banjo Shepherd Hearth",
    "techno record": "Neon Binary Endless Warehouse Strobe Chrome | Pulse Modulator Bassline Oscillator Loop",
    "cookery book": "Simple Grandmother's Sunday Spicy Weeknight Rustic | Dumplings Stews Pastries Pickles Noodles",
    "garden book": "Shady Wild Walled Patient Rooftop Evergreen | Orchard Roses Compost Hedgerow Greenhouse",
    "history book": "Forgotten Divided Bronze Seafaring Golden Fallen | Empire Dynasty Treaty Citadel Revolution",
    "fantasy book": "Enchanted Dragon's Cursed Runic Elven Thorn | Sword Throne Sorceress Prophecy Amulet",
}


def _item(title: str) -> str:
    return title.lower().replace(" ", "-").replace("'", "")


def _titles(words: str) -> list[str]:
    """Return every first word with every second, as `first first | second second` gives them."""
    firsts, seconds = (half.split() for half in words.split("|"))
    return [f"{first} {second}" for second in seconds for first in firsts]


TITLES: dict[str, str] = {
    _item(title): f"{title} ({genre})" for genre, words in _WORDS.items() for title in _titles(words)
}
GENRES: dict[str, tuple[str, ...]] = {
    genre: tuple(_item(title) for title in _titles(words)) for genre, words in _WORDS.items()
}


def tastes() -> dict[str, tuple[str, ...]]:
    """Return the one or two genres that each user likes."""
    genres = list(GENRES)
    result: dict[str, tuple[str, ...]] = {}
    for user in range(1, USERS + 1):
        first = user % len(genres)
        second = (first + 1 + user // len(genres) % (len(genres) - 1)) % len(genres)
        result[f"user{user}"] = (genres[first],) if user % 3 == 0 else (genres[first], genres[second])
    return result


def interactions() -> Any:
    """Return an Arrow table of about 10,000 interactions in order of time: user, item, item_title, timestamp."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(_SEED)
    items = [item for members in GENRES.values() for item in members]
    place = {item: i for i, item in enumerate(items)}
    popularity = np.concatenate([1 / np.arange(1, len(m) + 1) ** 0.7 for m in GENRES.values()])
    users, chosen, times = [], [], []
    for user, liked in tastes().items():
        chance = popularity * (1 - _AT_HOME) / popularity.sum()
        home = [place[item] for genre in liked for item in GENRES[genre]]
        chance[home] += _AT_HOME * popularity[home] / popularity[home].sum()
        number = int(rng.integers(18, 25)) if len(liked) == 1 else int(rng.integers(25, 36))
        chosen.append(rng.choice(len(items), number, replace=False, p=chance))
        # A few visits, an hour or so each.
        visits = rng.integers(0, _DAYS * 86_400, 1 + number // 6)
        times.append(_BEGIN + rng.choice(visits, number) + rng.integers(0, 3600, number))
        users += [user] * number
    item, time = np.concatenate(chosen), np.concatenate(times)
    order = np.argsort(time, kind="stable")
    names = [items[i] for i in item[order]]
    return pa.table(
        {
            "user": [users[i] for i in order],
            "item": names,
            "item_title": [TITLES[name] for name in names],
            "timestamp": pa.array(time[order] * 1_000_000, pa.timestamp("us", tz="UTC")),
        }
    )
