"""Names to show for items come from the table or from a second file; the sample brings its own."""

import subprocess
import sys

import pandas as pd
import pytest

import embedkit
from embedkit.options import build
from embedkit_sessions import Options, Sessions
from embedkit_sessions.sample import GENRES, TITLES, tastes


def labels(given, **options):
    source = Sessions(build(Options, {"input": given, **options}))
    for _ in source.batches():
        pass
    found = source.labels()
    return None if found is None else dict(found)


FRAME = pd.DataFrame(
    {"user": [1, 1, 2, 2, 3], "item": [7.0, 7.0, 7.0, None, 8.0], "Description": ["b", "a", "b", "x", None]}
)


def test_most_frequent_name_of_a_column():
    assert labels(FRAME, item_label_column="Description") == {"7": "b"}
    assert labels(FRAME) is None


def test_equally_frequent_names_give_the_first_in_order():
    frame = pd.DataFrame({"user": [1, 1], "item": ["i", "i"], "t": ["z", "y"]})
    assert labels(frame, item_label_column="t") == {"i": "y"}


def test_names_of_a_second_file(tmp_path):
    ratings, movies = tmp_path / "ratings.dat", tmp_path / "movies.dat"
    ratings.write_text("1::001::9::1381945744\n2::002::8::1381945744\n")
    movies.write_text('001::The "Last", Film: part 1 (2001)::Drama\n002::Fantômas::Crime\n', encoding="utf-8")
    assert labels(ratings, labels=str(movies)) == {"001": 'The "Last", Film: part 1 (2001)', "002": "Fantômas"}
    assert labels(ratings, labels=str(movies), labels_name_column=3)["001"] == "Drama"


def test_second_file_with_a_header(tmp_path):
    ratings, names = tmp_path / "r.csv", tmp_path / "n.csv"
    ratings.write_text("user,item\n1,a\n")
    names.write_text("title,code\nApple,a\n")
    assert labels(ratings, labels=str(names), labels_id_column="code", labels_name_column="title") == {"a": "Apple"}
    with pytest.raises(embedkit.SourceError, match="Name it with --labels-id-column"):
        labels(ratings, labels=str(names), labels_id_column="id")


def test_sample_is_always_the_same_and_users_keep_to_their_genres():
    table = Sessions.sample()
    assert table.equals(Sessions.sample())
    assert 8_000 < table.num_rows < 15_000
    assert len(set(table["user"].to_pylist())) == 400
    assert set(table["item"].to_pylist()) == set(TITLES)
    assert sum(map(len, GENRES.values())) == len(TITLES) == 300
    genre_of = {item: genre for genre, items in GENRES.items() for item in items}
    liked = tastes()
    pairs = list(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert sum(genre_of[item] in liked[user] for user, item in pairs) > 0.75 * len(pairs)


def test_sample_is_read_with_names():
    assert labels(Sessions.sample()) == TITLES


def test_importing_the_plugin_is_light():
    heavy = "numpy pandas pyarrow duckdb numba"
    code = f"import embedkit_sessions, sys; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_corpus_of_the_sample():
    corpus = embedkit.read("sessions")
    assert len(corpus.tokens) == len(TITLES)
    assert len(corpus.keys) == 400
    assert corpus.n_tokens == Sessions.sample().num_rows
