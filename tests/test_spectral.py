"""The trainer `spectral`: its scores against an exact decomposition, folding in, and what it tells and refuses."""

import numpy as np
import pytest
import reference_factors as slow
from checkerboard import GRID, checkerboard, misses
from hypothesis import given, settings
from hypothesis import strategies as st

import embedkit
from embedkit import Corpus, EmbedkitError, OptionError, Run, Sentence, queries
from embedkit.contracts import History
from embedkit.trainers.factors import subspace
from embedkit.trainers.factors.spectral_choice import FIXED
from embedkit.trainers.machinery.crew import Crew
from embedkit.trainers.spectral import SpectralOptions


class Recorder(Run):
    """A run that keeps what it is told, and stops after `stop_after` iterations."""

    def __init__(self, stop_after=10**9):
        super().__init__()
        self.stop_after = stop_after
        self.said, self.losses, self.reported, self.snapshots = [], [], [], []

    def say(self, message):
        self.said.append(message)

    def progress(self, done, total, *, unit="tokens", loss=None, snapshot=None):
        self.reported.append((done, total))

    def epoch_done(self, loss, snapshot):
        self.losses.append(loss)
        self.snapshots.append(snapshot)
        return len(self.losses) < self.stop_after


def likes(n_keys=40, n_tokens=30, seed=0, weighted=False, most=12):
    """Return token ids of each key, each token met by somebody, and weights."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(n_tokens, rng.integers(2, most), replace=False).tolist() for _ in range(n_keys)]
    for token in range(n_tokens):
        rows[token % n_keys].append(token)
    weights = [rng.integers(1, 6, len(row)).astype(float).tolist() if weighted else [1.0] * len(row) for row in rows]
    return rows, weights


def corpus_of(rows, weights=None, keyed=True, times=None):
    weights, times = ([None] * len(rows) if column is None else column for column in (weights, times))
    return Corpus.from_sentences(
        [
            Sentence([f"t{i}" for i in row], key=f"k{r}" if keyed else None, weights=w, times=t)
            for r, (row, w, t) in enumerate(zip(rows, weights, times, strict=True))
        ]
    )


def in_order(emb, n_tokens):
    """Return the rows of the embeddings' tokens in the order of the test's own numbers."""
    return emb.tokens.find_all([f"t{i}" for i in range(n_tokens)])


@pytest.mark.parametrize(("size", "seed"), GRID)
def test_the_checkerboard_is_filled(seed, size):
    assert misses(embedkit.train(checkerboard(seed), "spectral", vector_size=size, seed=seed)) == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"vector_size": 5, "iterations": 60},
        {"vector_size": 8, "iterations": 60, "key_exponent": 0.5, "token_exponent": 0.2, "prior": 0.5},
        {"shrinkage": 0, "leverage_discount": 0.5, "popularity_discount": -0.3, "shrinkage_power": 3},
        {"weighting": "logarithm", "recency_exponent": 0.7},
        {"weighting": "presence", "prior": 3, "leverage_discount": 0},
    ],
)
@pytest.mark.parametrize("trend", [0, 0.7])
def test_scores_are_those_of_the_exact_decomposition(options, trend):
    options = {"vector_size": 30, "weighting": "sum", **options, "trend": trend, "trend_window": 0.2}
    rows, weights = likes(weighted=True)
    times = [sorted(np.random.default_rng(r).integers(0, 50, len(row)).tolist()) for r, row in enumerate(rows)]
    times = times if trend else None
    emb = embedkit.train(corpus_of(rows, weights, times=times), "spectral", **options)
    R = slow.matrix(rows, 30, options["weighting"], weights)
    expected = slow.spectral_scores(
        R,
        options["vector_size"],
        SpectralOptions(**{**FIXED, **options}),
        slow.ages(rows, 30, times),
        *slow.standing(rows, 30, 0.2, times),
    )
    made = (emb.key_queries(np.arange(40)) @ emb.targets.T)[:, in_order(emb, 30)]
    np.testing.assert_allclose(made, expected, rtol=2e-3, atol=2e-4 * np.abs(expected).max())


def test_losses_are_the_shares_of_the_squares_left_out_and_fall(monkeypatch):
    monkeypatch.setattr("embedkit.trainers.factors.spectral_vectors.OVERSAMPLING", 2)
    rows, _ = likes()
    run = Recorder()
    emb = embedkit.train(corpus_of(rows), "spectral", run=run, vector_size=6, iterations=80, weighting="sum")
    assert list(emb.losses) == run.losses
    assert all(after < before for before, after in zip(run.losses[:9], run.losses[1:10], strict=True))
    s = np.linalg.svd(slow.normalized(slow.matrix(rows, 30), 0.35, 0.4), compute_uv=False)
    np.testing.assert_allclose(emb.arrays["singular_values"], s[:6], rtol=1e-3)
    assert run.losses[-1] == pytest.approx(np.square(s[8:]).sum() / np.square(s).sum(), rel=1e-3)


def test_a_known_key_is_queried_exactly_as_its_history_would_be():
    rows, weights = likes(weighted=True)
    emb = embedkit.train(corpus_of(rows, weights), "spectral", vector_size=10)
    for r in (0, 7, 39):
        # A token that the row names twice counts with the sum of both weights.
        given = {}
        for token, weight in zip(rows[r], weights[r], strict=True):
            given[f"t{token}"] = given.get(f"t{token}", 0) + weight
        backwards = dict(reversed(given.items()))
        for history in (given, backwards):
            assert emb.recommend(f"k{r}", topn=5) == emb.recommend(history=history, topn=5)


def test_without_weights_a_list_of_tokens_is_the_history():
    rows, _ = likes()
    emb = embedkit.train(corpus_of(rows), "spectral", vector_size=10)
    history = History(np.array([0, len(rows[3])]), emb.tokens.find_all([f"t{i}" for i in rows[3]]).astype(np.int32))
    assert np.array_equal(emb.query_vectors(history)[0], emb.key_vector("k3"))


def test_an_empty_history_is_a_row_of_zeros_and_others_hold_the_prior():
    rows, _ = likes()
    emb = embedkit.train(corpus_of(rows), "spectral", vector_size=10, prior=3)
    assert emb.arrays["prior"].tolist() == [0] * 9 + [3]
    made = emb.query_vectors(History(np.array([0, 0, 1]), np.array([4], np.int32)))
    assert made[0].tolist() == [0] * 10
    np.testing.assert_allclose(made[1], emb.vectors[4] + emb.arrays["prior"], rtol=1e-5)


def test_a_saved_model_answers_alike(tmp_path):
    rows, _ = likes()
    emb = embedkit.train(corpus_of(rows), "spectral", vector_size=10)
    emb.save(tmp_path / "model.safetensors")
    loaded = embedkit.load(tmp_path / "model.safetensors")
    assert loaded.recommend("k1") == emb.recommend("k1")
    assert loaded.recommend(history=["t1", "t2"]) == emb.recommend(history=["t1", "t2"])


def test_any_number_of_workers_gives_the_same_bits():
    rows, _ = likes(330, 310, most=20)
    corpus = corpus_of(rows)
    first, second, other = (
        embedkit.train(corpus, "spectral", vector_size=270, workers=w, seed=s) for w, s in ((1, 3), (3, 3), (1, 4))
    )
    assert np.array_equal(first.vectors, second.vectors)
    assert np.array_equal(first.context_vectors, second.context_vectors)
    assert not np.array_equal(first.vectors, other.vectors)


def test_vectors_larger_than_the_data_hold_are_cut_and_it_says_so():
    run = Recorder()
    emb = embedkit.train(corpus_of(*likes(12, 30)), "spectral", run=run, vector_size=500)
    assert emb.vector_size == 12
    assert [line for line in run.said if "12 numbers instead of 500" in line]


def test_sentences_are_the_rows_where_nobody_owns_them():
    rows, _ = likes()
    owned, free = (embedkit.train(corpus_of(rows, keyed=k), "spectral", vector_size=10) for k in (True, False))
    assert free.keys is None
    assert np.array_equal(owned.vectors, free.vectors)


def test_sentences_without_a_key_count_among_others_with_one():
    keys = ["u", None, "v"]
    tokens = [["a", "b"], ["b", "c"], ["c", "d"]]
    some, every = (
        embedkit.train(Corpus.from_sentences(list(map(Sentence, tokens, names))), "spectral", prior=0)
        for names in (keys, ["u", "w", "v"])
    )
    assert list(some.keys) == ["u", "v"]
    assert some.vector_size == 3
    scores = [emb.query_vectors(emb.histories.take([0])) @ emb.targets.T for emb in (some, every)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4, atol=1e-6)


def test_tokens_that_always_occur_together_are_no_trouble():
    emb = embedkit.train(Corpus.from_sentences([["a", "b", "c"], ["a", "b", "c"], ["d", "e"]] * 3), "spectral")
    assert np.isfinite(emb.vectors).all()
    assert np.isfinite(emb.context_vectors).all()
    assert {token for token, _ in emb.recommend(history=["a"], topn=2)} == {"b", "c"}


def test_a_run_can_stop_and_early_snapshots_stay_whole():
    corpus = corpus_of(*likes())
    stopped, whole = Recorder(stop_after=1), Recorder()
    first = embedkit.train(corpus, "spectral", run=stopped, vector_size=4, iterations=5)
    last = embedkit.train(corpus, "spectral", run=whole, vector_size=4, iterations=5)
    assert len(first.losses) == 1
    assert len(last.losses) == 5
    assert np.array_equal(whole.snapshots[0]().vectors, first.vectors)
    assert np.array_equal(whole.snapshots[-1]().vectors, last.vectors)


def test_progress_reaches_its_end():
    run = Recorder()
    embedkit.train(corpus_of(*likes()), "spectral", run=run, vector_size=4)
    done = [d for d, _ in run.reported]
    assert done == sorted(done)
    assert run.reported[-1][0] == run.reported[-1][1]


def test_an_interruption_ends_it():
    class Impatient(Run):
        def progress(self, done, total, **more):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedkit.train(corpus_of(*likes()), "spectral", run=Impatient(), vector_size=4, workers=2)


@pytest.mark.parametrize(
    ("sentences", "what"),
    [
        ([["a", "b"]], "single sentence"),
        ([Sentence(["a", "b"], key="u")], "single key"),
        ([["a"], ["a"]], "single token"),
    ],
)
def test_what_has_nothing_to_tell_apart_is_refused(sentences, what):
    with pytest.raises(EmbedkitError, match=what):
        embedkit.train(Corpus.from_sentences(sentences), "spectral")


@pytest.mark.parametrize("trainer", ["spectral", "als"])
@pytest.mark.parametrize("weight", [1e-30, 1e30])
def test_weights_beyond_reckoning_are_refused(trainer, weight):
    rows, weights = likes(weighted=True)
    weights[3][0] = weight
    with pytest.raises(EmbedkitError, match="bring them between"):
        embedkit.train(corpus_of(rows, weights), trainer, weighting="sum")


@pytest.mark.parametrize("weight", [1e-8, 1e8])
def test_a_scale_of_all_weights_changes_no_ranking(weight):
    rows, weights = likes(weighted=True)
    scaled = [[w * weight for w in row] for row in weights]
    first, second = (embedkit.train(corpus_of(rows, w), "spectral", weighting="sum") for w in (weights, scaled))
    for emb in (first, second):
        assert np.isfinite(emb.context_vectors).all()
    assert [t for t, _ in first.recommend("k3", topn=5)] == [t for t, _ in second.recommend("k3", topn=5)]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("vector_size", 0),
        ("weighting", "squares"),
        ("key_exponent", -1),
        ("token_exponent", float("nan")),
        ("shrinkage", -0.1),
        ("shrinkage_power", 0),
        ("popularity_discount", 5),
        ("leverage_discount", float("inf")),
        ("prior", -1),
        ("recency_exponent", -1),
        ("trend", float("nan")),
        ("trend_window", 0),
        ("holdout", "first"),
        ("iterations", 0),
        ("workers", 0),
        ("seed", -1),
    ],
)
def test_options_out_of_range_are_refused_by_name(option, value):
    with pytest.raises(OptionError, match=f"^{option} must"):
        embedkit.train(corpus_of(*likes()), "spectral", **{option: value})


def test_gram_products_agree_with_the_dense_ones(monkeypatch):
    monkeypatch.setattr(subspace, "_ENTRIES_A_CALL", 7)
    rows, weights = likes(weighted=True)
    seen = queries.interactions(History(*compressed(rows), np.concatenate(weights).astype(np.float32)), "sum")
    dense = slow.matrix(rows, 30, "sum", weights)
    block = np.random.default_rng(1).standard_normal((30, 70), np.float32)
    with Crew(2) as crew:
        made = subspace.gram_product(seen, block, crew)
    np.testing.assert_allclose(made, dense.T @ dense @ block, rtol=1e-4, atol=1e-3)


def test_orthonormal_blocks_keep_their_span():
    rng = np.random.default_rng(0)
    block = (rng.standard_normal((500, 40)) * np.logspace(0, -3, 40)).astype(np.float32)
    with Crew(1) as crew:
        made = subspace.orthonormal(subspace.orthonormal(block, crew), crew)
    np.testing.assert_allclose(made.T @ made, np.eye(40), atol=1e-5)
    np.testing.assert_allclose(made @ (made.T @ block), block, atol=1e-4)


def compressed(rows):
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    return indptr, np.array([token for row in rows for token in row], np.int32)


entries = st.lists(st.lists(st.tuples(st.integers(0, 5), st.floats(0.1, 9), st.integers(0, 3)), max_size=8), max_size=5)


@settings(max_examples=80, deadline=None)
@given(
    entries=entries,
    weighted=st.booleans(),
    timed=st.booleans(),
    weighting=st.sampled_from(["logarithm", "sum", "presence", "mean"]),
    recency=st.sampled_from([0, 0.5, 2]),
)
def test_interactions_agree_with_their_twin(entries, weighted, timed, weighting, recency):
    entries = [sorted(row, key=lambda entry: entry[2]) for row in entries]
    rows, weights, times = ([[entry[k] for entry in row] for row in entries] for k in range(3))
    flat = np.array([w for row in weights for w in row], np.float32) if weighted else None
    when = np.array([t for row in times for t in row], np.int64) if timed else None
    made = queries.interactions(History(*compressed(rows), flat, when), weighting, recency)
    dense = np.zeros((len(rows), 6))
    for r in range(len(rows)):
        at = slice(made.indptr[r], made.indptr[r + 1])
        assert (np.diff(made.indices[at]) > 0).all()
        dense[r, made.indices[at]] = made.weights[at]
    expected = slow.matrix(rows, 6, weighting, weights if weighted else None)
    np.testing.assert_allclose(dense, expected * slow.ages(rows, 6, times if timed else None) ** -recency, rtol=1e-5)
