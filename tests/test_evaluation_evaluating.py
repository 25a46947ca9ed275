"""Evaluation: everything ranked, nothing dropped in silence, the same numbers as plain loops over recommendations."""

import math
from collections import Counter

import numpy as np
import pytest
import reference_metrics as reference
from checkerboard import SIZE, checkerboard

import embedkit
from embedkit import Corpus, Embeddings, EmbedkitError, History, OptionError, Sentence, SourceError
from embedkit.evaluation import HeldOut, ItemKNN, TrainPart, difference, evaluate, random
from embedkit.evaluation.heldout import read_lines, read_prefixes
from embedkit.evaluation.matching import describe
from embedkit.names import Names
from embedkit.scoring import Rows


def held_out(targets, prefixes=None):
    """A test of a mapping from keys to tokens, or of prefixes and targets."""
    rows = list(targets.values()) if prefixes is None else [[t] for t in targets]
    names = list(dict.fromkeys(t for row in [*rows, *(prefixes or [])] for t in row))
    ids = [np.array([names.index(t) for t in row], np.int32) for row in rows]
    ends = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    if prefixes is None:
        return HeldOut.of_keys(
            Names.from_strings(targets), Names.from_strings(names), History(ends, np.concatenate(ids))
        )
    before = [np.array([names.index(t) for t in row], np.int32) for row in prefixes]
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in before]))).astype(np.int64)
    history = History(indptr, np.concatenate(before))
    return HeldOut(Names.from_strings(names), Rows(ends, np.concatenate(ids)), prefixes=history)


@pytest.fixture
def world():
    """A corpus of 40 keys and 25 tokens, split, and embeddings of its train part with random vectors."""
    rng = np.random.default_rng(6)
    sentences = [Sentence([f"t{i}" for i in rng.permutation(25)[: rng.integers(2, 12)]], f"u{u}") for u in range(40)]
    parts = random(Corpus.from_sentences(sentences), 0.3)
    n = len(parts.train.tokens)
    vectors, targets = rng.standard_normal((2, n, 5)).astype(np.float32)
    return parts, Embeddings.from_corpus(parts.train, vectors, context_vectors=targets)


@pytest.mark.parametrize("include_seen", [False, True])
def test_it_measures_what_recommend_answers(world, include_seen):
    parts, model = world
    found = evaluate(model, parts.test, k=(3, 8), include_seen=include_seen)
    assert found.counts["evaluated"] == len(parts.test) == len(found.rows)
    ends = parts.test.targets.indptr
    for k in (3, 8):
        plain = []
        for row, key in enumerate(parts.test.keys):
            wanted = parts.test.tokens[parts.test.targets.indices[ends[row] : ends[row + 1]]]
            top = [token for token, _ in model.recommend(key, topn=8, include_seen=include_seen)]
            plain.append(reference.metrics(top, wanted, k))
        for name in plain[0]:
            np.testing.assert_allclose(found.values[f"{name}@{k}"], [p[name] for p in plain], err_msg=name)
            assert found[f"{name}@{k}"] == pytest.approx(np.mean([p[name] for p in plain]))
            assert found.intervals[f"{name}@{k}"].mean == pytest.approx(found[f"{name}@{k}"])


def test_prefixes_are_asked_as_histories(world):
    _, model = world
    prefixes = [["t1", "t2"], ["t3"], ["t4", "t4", "new"]]
    targets = ["t5", "t1", "t4"]
    for include_seen in (False, True):
        found = evaluate(model, held_out(targets, prefixes), k=6, include_seen=include_seen)
        known = [prefix[:2] if "new" in prefix else prefix for prefix in prefixes]
        rows = [0, 1, 2] if include_seen else [0, 1]
        assert found.rows.tolist() == rows
        for value, row in zip(found.values["mrr@6"], rows, strict=True):
            top = [t for t, _ in model.recommend(history=known[row], topn=6, include_seen=include_seen)]
            assert value == pytest.approx(reference.metrics(top, [targets[row]], 6)["mrr"])
        assert found.counts["unknown tokens of prefixes"] == 1
        assert found.counts["seen targets"] == 1
    assert evaluate(model, held_out(["t5"], [["new", "t2"]]), k=2, fallback="popular").counts["evaluated"] == 1


def test_a_perfect_model_scores_one_and_a_baseline_learns_the_checkerboard():
    corpus = checkerboard()
    tokens = [int(token[4:]) for token in corpus.tokens]
    parity = np.array([[1, 0] if t % 2 else [0, 1] for t in tokens], np.float32)
    keys = np.array([[1, 0] if int(key[4:]) % 2 else [0, 1] for key in corpus.keys], np.float32)
    perfect = Embeddings.from_corpus(corpus, parity, key_vectors=keys)
    test = held_out({f"user{u}": [f"item{u}"] for u in range(SIZE)})
    for ranker in (perfect, ItemKNN(TrainPart.of_corpus(corpus))):
        found = evaluate(ranker, test, k=1)
        for name in ("recall", "precision", "hit_rate", "ndcg", "mrr", "map", "coverage"):
            assert found[f"{name}@1"] == 1, name


@pytest.fixture
def small():
    """Two keys and four tokens; `b` scores first for `u`."""
    vectors = np.array([[1, 0], [0.9, 0], [0.5, 0], [0, 1]], np.float32)
    history = History(np.array([0, 1, 2, 2]), np.array([0, 3], np.int32))
    counts = np.array([1, 1, 7, 1])
    return Embeddings(["a", "b", "c", "d"], vectors, counts=counts, keys=["u", "v", "w"], histories=history)


def test_unknown_tokens_stay_in_the_denominator(small):
    found = evaluate(small, held_out({"u": ["b", "new", "newer"], "v": ["new"]}), k=2)
    assert found.values["recall@2"].tolist() == pytest.approx([1 / 3, 0])
    assert found.counts["unknown targets"] == 3


def test_unknown_keys_are_left_out_and_counted_or_get_the_fallback(small):
    test = held_out({"u": ["b"], "stranger": ["c"], "w": ["c"]})
    left_out = evaluate(small, test, k=1)
    assert left_out.rows.tolist() == [0]
    assert left_out["recall@1"] == 1
    assert (left_out.counts["unknown keys"], left_out.counts["keys without a history"]) == (1, 1)
    fallback = evaluate(small, test, k=1, fallback="popular")
    assert fallback.values["recall@1"].tolist() == [1, 1, 1]
    assert evaluate(small, held_out({"u": ["c"], "stranger": ["b"]}), k=1, fallback="popular")["recall@1"] == 0


def test_a_seen_target_is_none_unless_seen_tokens_are_recommended(small):
    test = held_out({"u": ["a", "b"], "v": ["d"]})
    found = evaluate(small, test, k=1)
    assert found.values["recall@1"].tolist() == [1]
    assert found.counts["seen targets"] == 2
    assert found.counts["rows of seen targets alone"] == 1
    kept = evaluate(small, test, k=1, include_seen=True)
    assert kept.values["recall@1"].tolist() == [0.5, 1]
    assert kept.counts["seen targets"] == 2


def test_what_was_met_is_told_in_words():
    counts = Counter({"unknown keys": 1200, "seen targets": 3, "rows": 5})
    told = describe(counts, include_seen=False, fallback=False, words=("user", "item"))
    assert told == [
        "Unknown users: 1,200, left out of the means.",
        "Targets that are in the user's history or prefix already: 3, no targets, as seen ones are not recommended.",
    ]
    told = describe(counts, include_seen=True, fallback=True, words=("user", "item"))
    assert told[0] == "Unknown users: 1,200, answered by the most popular."
    assert told[1].endswith("kept as targets.")


def test_learned_keys_need_no_history():
    vectors = np.eye(3, dtype=np.float32)
    model = Embeddings(["a", "b", "c"], vectors, keys=["u", "v"], key_vectors=vectors[:2])
    found = evaluate(model, held_out({"u": ["a"], "v": ["c"]}), k=1)
    assert found.values["recall@1"].tolist() == [1, 0]
    assert "popularity_bias@1" not in found.totals
    with pytest.raises(EmbedkitError, match="does not know how often its tokens occurred"):
        evaluate(model, held_out({"u": ["a"], "x": ["c"]}), k=1, fallback="popular")


def test_fewer_answers_than_k(small):
    found = evaluate(small, held_out({"u": ["d"]}), k=4)
    assert found["recall@4"] == 1
    assert found["precision@4"] == 0.25


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (5, "k must be at most 4, the number of tokens to rank; got 5"),
        (0, "k must be a whole number of at least 1; got 0"),
        ((2, True), "got True"),
        ((), "k must be given"),
    ],
)
def test_a_bad_k_is_told(small, k, message):
    with pytest.raises(OptionError, match=message):
        evaluate(small, held_out({"u": ["b"]}), k=k)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"x": ["a"], "y": ["b"]}, "knows not one key of the test: is it of another dataset.*'x' and 'y'.*'u' and 'v'"),
        ({"u": ["p"], "v": ["q"]}, "knows not one token of the test: is it of another dataset"),
        ({"u": ["a"]}, "no row of the test can be evaluated"),
        ({"w": ["a"]}, "no row of the test can be evaluated"),
    ],
)
def test_a_test_of_another_dataset_is_told(small, targets, message):
    with pytest.raises(EmbedkitError, match=message) as told:
        evaluate(small, held_out(targets), k=1)
    assert "\n" not in str(told.value)


def test_a_model_without_keys_cannot_be_asked_for_keys():
    model = Embeddings(["a", "b"], np.eye(2, dtype=np.float32))
    with pytest.raises(EmbedkitError, match="has no keys, and the test asks for keys"):
        evaluate(model, held_out({"u": ["a"]}), k=1)
    assert evaluate(model, held_out(["b"], [["a"]]), k=1)["hit_rate@1"] == 1


def test_an_empty_test_and_bad_options_are_told(small, tmp_path):
    with pytest.raises(SourceError, match="the test is empty"):
        HeldOut.of_keys(Names.from_strings(["u"]), Names.from_strings([]), History(np.array([0, 0]), np.array([], int)))
    with pytest.raises(SourceError, match="either keys or prefixes"):
        HeldOut(Names.from_strings(["a"]), Rows(np.array([0, 1]), np.array([0])))
    with pytest.raises(SourceError, match="has no keys, so nobody can be asked"):
        HeldOut.from_corpus(Corpus.from_sentences([["a", "b"]]))
    with pytest.raises(OptionError, match="fallback must be"):
        evaluate(small, held_out({"u": ["b"]}), k=1, fallback="guess")
    with pytest.raises(OptionError, match="confidence must be"):
        evaluate(small, held_out({"u": ["b"]}), k=1, confidence="guess")
    with pytest.raises(EmbedkitError, match="there is no measure 'recall@7'; there are: recall@1"):
        evaluate(small, held_out({"u": ["b"]}), k=1)["recall@7"]


def test_a_paired_difference_sees_what_two_intervals_hide(world):
    parts, model = world
    mine = evaluate(model, parts.test, k=8)
    assert difference(mine, mine, "ndcg@8") == (0, 0, 0)
    better = evaluate(model, parts.test, k=8)
    better.values["ndcg@8"][:] += 0.01
    apart = difference(better, mine, "ndcg@8")
    assert apart.mean == pytest.approx(0.01)
    assert apart.half_width < mine.intervals["ndcg@8"].half_width / 100


def test_files_and_names_agree(world, tmp_path):
    """A test read from a file is evaluated as the split that it was written from, whatever the order of its names."""
    parts, model = world
    from embedkit.evaluation import write_split

    _, path = write_split(parts, tmp_path, "lines")
    path.write_text("".join(sorted(path.read_text().splitlines(keepends=True), reverse=True)))
    assert evaluate(model, read_lines(path), k=5).totals == pytest.approx(evaluate(model, parts.test, k=5).totals)
    (tmp_path / "prefix.txt").write_text("t1 t2\tt3\nt4\tt5\n")
    expected = evaluate(model, held_out(["t3", "t5"], [["t1", "t2"], ["t4"]]), k=5)
    assert evaluate(model, read_prefixes(tmp_path / "prefix.txt"), k=5).totals == expected.totals


def test_the_whole_way_from_python():
    corpus = embedkit.read("sessions")
    parts = random(corpus, 0.2)
    model = embedkit.train(parts.train, "skipgram", epochs=1, vector_size=8)
    found = evaluate(model, parts.test)
    assert found.name == "skipgram"
    assert found.cutoffs == (10, 20)
    assert not math.isnan(found["popularity_bias@20"])
    assert repr(found).startswith("Evaluation(skipgram: recall@20 ")
