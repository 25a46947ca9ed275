"""Engines: what `map`, `keep`, `exchange`, `reduce` and `broadcast` give; corpora and trainings in partitions."""

import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import embedkit
from embedkit.corpus.encoding import read_part
from embedkit.corpus.partitioned import PartitionedCorpus
from embedkit.engines import make_engine
from embedkit.engines.engine import given_up
from embedkit.engines.local import LocalEngine
from embedkit.errors import EmbedkitError, OptionError, SourceError, UnknownNameError


def double(part, *shared):
    return 2 * part + sum(shared)


def joined(one, other):
    return f"({one} {other})"


def name(part):
    return str(part)


def pieces(part, number, n):
    return [f"{number}>{to}:{part}" for to in range(n)]


def taken(given):
    return " ".join(given)


def wrong(part):
    raise SourceError(f"part {part} is not to be read")


@pytest.fixture
def engine():
    with LocalEngine(2, partitions=3) as made:
        yield made


@pytest.fixture
def shop(tmp_path):
    """Visits of 60 users to two shops' items, a table of four row groups in which each user occurs in each."""
    rng = np.random.default_rng(1)
    users = np.tile(np.arange(60), 20)
    items = [f"{'ab'[user % 2]}{item}" for user, item in zip(users, rng.integers(0, 12, len(users)), strict=True)]
    table = pa.table({"user": [f"u{user}" for user in users], "item": items, "timestamp": np.arange(len(users)),
                      "rating": 1.0 + 2 * (users % 2) + rng.integers(0, 3, len(users))})  # fmt: skip
    pq.write_table(table, tmp_path / "shop.parquet", row_group_size=300)
    return tmp_path / "shop.parquet"


def test_map_keeps_the_order_and_gives_what_is_shared(engine):
    assert engine.map(double, [1, 2, 3], engine.broadcast(10), 5) == [17, 19, 21]


def test_what_is_kept_can_be_worked_on_further(engine):
    kept = engine.keep(double, [1, 2, 3])
    assert engine.map(double, kept) == [4, 8, 12]


def test_a_tree_of_neighbours_is_reduced(engine):
    assert engine.reduce(name, [1, 2, 3, 4, 5], joined) == "(((1 2) (3 4)) 5)"


def test_an_exchange_brings_each_partition_a_piece_of_every_other(engine):
    assert engine.exchange(pieces, ["x", "y"], taken) == ["0>0:x 1>0:y", "0>1:x 1>1:y"]


def test_errors_come_back_as_they_were_raised(engine):
    with pytest.raises(SourceError, match="part 1 is not to be read"):
        engine.map(wrong, [1])


def test_work_is_told_when_nobody_waits_for_it_any_more():
    broken_off = []

    def patient(part):
        deadline = time.monotonic() + 20
        while not given_up() and time.monotonic() < deadline:
            time.sleep(0.01)
        broken_off.append(given_up())

    def impatient(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), LocalEngine(2) as engine:
        engine.map(patient, [1, 2], told=impatient)
    assert broken_off == [True, True]


def test_reading_a_partition_is_broken_off_too(tmp_path):
    (tmp_path / "long.txt").write_text("one two three four " * 600_000)
    source = embedkit.make_source("text", input=str(tmp_path / "long.txt"))
    with LocalEngine(1) as engine:
        engine._over.set()
        with pytest.raises(InterruptedError):
            engine.map(read_part, [source], tmp_path)


def test_an_engine_that_is_not_there_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'dask'"):
        make_engine("dusk")
    with pytest.raises(OptionError, match="at least 1"):
        make_engine("local", partitions=0)
    with pytest.raises(OptionError, match="local one has none"):
        make_engine("local", scheduler="tcp://10.0.0.1:8786")


def by_key(corpus):
    rows = corpus.histories()
    return {key: [corpus.tokens[int(i)] for i in row] for key, row in zip(corpus.keys, rows, strict=True)}


def test_keys_have_all_of_their_history_in_one_partition_in_order_of_time(engine, shop):
    source = embedkit.make_source("sessions", input=shop)
    corpus = PartitionedCorpus.from_source(source, engine)
    whole = embedkit.read("sessions", input=shop)
    assert corpus.n_parts == 3
    assert dict(zip(corpus.tokens, corpus.counts.tolist(), strict=True)) == dict(
        zip(whole.tokens, whole.counts.tolist(), strict=True)
    )
    assert by_key(corpus) == by_key(whole)
    assert sum(len(part.keys) for part in corpus.parts) == 60


def test_a_text_is_read_in_stretches_that_lose_and_double_no_word(engine, tmp_path):
    rng = np.random.default_rng(2)
    lines = [" ".join(f"w{n}é" for n in rng.integers(0, 50, size)) for size in rng.integers(0, 40, 300)]
    (tmp_path / "one.txt").write_text("\n".join(lines[:220]))
    (tmp_path / "two.txt").write_text("\n".join(lines[220:]))
    inputs = (str(tmp_path / "one.txt"), str(tmp_path / "two.txt"))
    corpus = PartitionedCorpus.from_source(embedkit.make_source("text", input=inputs), engine, min_count=100)
    whole = embedkit.read("text", input=inputs, min_count=100)
    found = sorted(
        " ".join(corpus.tokens[row]) for part in corpus.parts for row in embedkit.History(part.offsets, part.ids)
    )
    assert found == sorted(" ".join(whole.tokens[row]) for row in embedkit.History(whole.offsets, whole.ids))
    assert corpus.dropped == whole.dropped
    assert (corpus.n_tokens, corpus.n_sentences) == (whole.n_tokens, whole.n_sentences)


def test_lines_of_sessions_are_read_in_stretches(engine, tmp_path):
    lines = [f"u{user} " + " ".join(f"i{(user * 7 + n) % 31}" for n in range(user % 9 + 1)) for user in range(90)]
    (tmp_path / "visits.txt").write_text("\n".join(lines))
    source = embedkit.make_source("sessions", input=tmp_path / "visits.txt", layout="lines")
    corpus = PartitionedCorpus.from_source(source, engine)
    assert {key: " ".join(row) for key, row in by_key(corpus).items()} == dict(line.split(" ", 1) for line in lines)


@pytest.mark.parametrize(
    ("source", "options", "told"),
    [
        ("sessions", {"layout": "table"}, "Parquet with several row groups"),
        ("sessions", {"layout": "lines", "min_interactions": 2}, "all rows of a user"),
        ("text", {"key": "line"}, "numbers all lines"),
        ("text", {"sentence": "document"}, "give several files"),
        ("graph", {}, "cannot be read in partitions"),
    ],
)
def test_what_cannot_be_divided_is_refused_with_a_remedy(engine, tmp_path, source, options, told):
    (tmp_path / "input.csv").write_text("user,item\na,b\nc,d\n")
    made = embedkit.make_source(source, input=str(tmp_path / "input.csv"), **options)
    with pytest.raises(EmbedkitError, match=told) as error:
        PartitionedCorpus.from_source(made, engine)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("order", [("timed", "plain"), ("plain", "timed")])
def test_files_of_which_some_have_times_are_refused_as_in_one_process(engine, tmp_path, order):
    (tmp_path / "timed.csv").write_text("user,item,timestamp\n" + "".join(f"u{n},i{n % 7},{n}\n" for n in range(40)))
    (tmp_path / "plain.csv").write_text("user,item\n" + "".join(f"u{n},i{n % 5}\n" for n in range(40)))
    source = embedkit.make_source("sessions", input=[str(tmp_path / f"{name}.csv") for name in order])
    with pytest.raises(SourceError, match=r"times or weights.*--time-column"):
        PartitionedCorpus.from_source(source, engine)


def test_a_part_of_which_nothing_is_left_is_no_hindrance(engine, tmp_path):
    for name, lines in (("a", "u,x,1\nu,y,2\n"), ("b", "u,x,0\nv,y,-1\n"), ("c", "v,y,1\nv,x,3\n")):
        (tmp_path / f"{name}.csv").write_text("user,item,weight\n" + lines)
    options = {"input": str(tmp_path / "*.csv"), "weight_column": "weight"}
    whole = embedkit.read("sessions", **options)
    source = embedkit.make_source("sessions", **options)
    corpus = PartitionedCorpus.from_source(source, engine)
    assert dict(zip(corpus.tokens, corpus.counts, strict=True)) == dict(zip(whole.tokens, whole.counts, strict=True))
    assert corpus.n_parts == 2
    assert corpus.dropped == whole.dropped
    (tmp_path / "blank").mkdir()
    for number in range(2):
        (tmp_path / "blank" / f"{number}.txt").write_text(" \n")
    with pytest.raises(SourceError, match="no words, only white space"):
        PartitionedCorpus.from_source(embedkit.make_source("text", input=str(tmp_path / "blank")), engine)


def test_what_an_engine_cannot_do_is_refused_before_anything_is_read(engine):
    with pytest.raises(EmbedkitError, match="'doc2vec' does not learn in partitions"):
        embedkit.train("text", "doc2vec", engine=engine, input="missing.txt")
    with pytest.raises(EmbedkitError, match="--early-stopping does not go with --engine"):
        embedkit.train("sessions", "als", engine=engine, early_stopping="ndcg@20", input="missing.csv")
    for trainer in ("skipgram", "cbow"):
        with pytest.raises(OptionError, match="not learned in partitions"):
            embedkit.train("text", trainer, engine=engine, loss="softmax", input="missing.txt")
        with pytest.raises(OptionError, match="reproducible is for one process"):
            embedkit.train("text", trainer, engine=engine, reproducible=True, input="missing.txt")


@pytest.mark.parametrize(
    ("trainer", "options"),
    [
        ("als", {"vector_size": 8, "epochs": 8}),
        pytest.param(
            "als",
            {"vector_size": 8, "epochs": 4, "loss": "explicit", "weight_column": "rating"},
            marks=pytest.mark.slow,
        ),
        ("spectral", {"vector_size": 8}),
        pytest.param("spectral", {"vector_size": 8, "matrix": "token-token"}, marks=pytest.mark.slow),
        pytest.param("glove", {"vector_size": 8, "epochs": 10}, marks=pytest.mark.slow),
        ("skipgram", {"vector_size": 8, "epochs": 40}),
        pytest.param("cbow", {"vector_size": 8, "epochs": 40}, marks=pytest.mark.slow),
    ],
)
def test_partitions_learn_what_the_whole_does_with_any_number_of_workers(shop, trainer, options):
    made = []
    for workers in (1, 3):
        with LocalEngine(workers, partitions=3) as engine:
            made.append(embedkit.train("sessions", trainer, engine=engine, input=shop, **options))
    one, other = made
    np.testing.assert_array_equal(one.vectors, other.vectors)
    assert one.losses == other.losses
    assert len(one.keys) == 60
    if "loss" not in options:
        right = [sum(token[0] == "ab"[int(key[1:]) % 2] for token, _ in one.recommend(key, topn=5, include_seen=True))
                 for key in one.keys]  # fmt: skip
        assert np.mean(right) > 4.5
    if trainer in ("als", "spectral"):
        whole = embedkit.train("sessions", trainer, input=shop, **options)
        assert one.losses[-1] == pytest.approx(whole.losses[-1], rel=0.15)
