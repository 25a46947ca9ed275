"""The trainer `als`: what it minimises, solves, predicts, folds in, tells and refuses."""

import numpy as np
import pytest
import reference_factors as slow
from checkerboard import GRID, checkerboard, misses
from test_spectral import Recorder, corpus_of, in_order, likes

import embedkit
from embedkit import Corpus, Embeddings, EmbedkitError, OptionError, Run, Sentence
from embedkit.contracts import History

ALPHA, LAMBDA, NU = 0.1, 0.02, 0.7
IMPLICIT = {"unobserved_weight": ALPHA, "regularization": LAMBDA, "regularization_exponent": NU, "weighting": "sum"}
EXPLICIT = {"loss": "explicit", "regularization": LAMBDA, "regularization_exponent": NU}


def trained(size=5, seed=0, run=None, **options):
    """Return embeddings of random likes, the dense matrix of these, and X and Y in the matrix's order, float64."""
    rows, weights = likes(weighted=True, seed=seed)
    if options.get("loss") == "explicit":
        rows = [list(dict.fromkeys(row)) for row in rows]
        weights = [w[: len(row)] for row, w in zip(rows, weights, strict=True)]
    emb = embedkit.train(corpus_of(rows, weights), "als", run=run, vector_size=size, **options)
    Y = emb.targets[in_order(emb, 30)].astype(np.float64)
    return emb, slow.matrix(rows, 30, "sum", weights), emb.key_vectors.astype(np.float64), Y


def ratings(noise=0.0, seed=0, n_keys=60, n_tokens=40):
    """Return triples of key, token and rating: offsets and a product of rank two."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n_keys, 2)) * 0.5, rng.standard_normal((n_tokens, 2)) * 0.5
    table = 5 + rng.standard_normal((n_keys, 1)) * 0.5 + rng.standard_normal(n_tokens) * 0.5 + x @ y.T
    seen = rng.random(table.shape) < 0.7
    return np.maximum(table + noise * rng.standard_normal(table.shape), 0.1), seen


def rated(table, seen):
    return Corpus.from_sentences(
        [
            Sentence([f"t{i}" for i in np.flatnonzero(row)], key=f"k{u}", weights=table[u, row].tolist())
            for u, row in enumerate(seen)
        ]
    )


@pytest.mark.parametrize(("size", "seed"), GRID)
def test_the_checkerboard_is_filled(seed, size):
    assert misses(embedkit.train(checkerboard(seed), "als", vector_size=size, epochs=20, seed=seed)) == []


@pytest.mark.parametrize("steps", [1, 3, 30])
@pytest.mark.parametrize("loss", [IMPLICIT, EXPLICIT])
def test_the_objective_falls_in_every_epoch(steps, loss):
    run = Recorder()
    emb, *_ = trained(run=run, epochs=15, solver_steps=steps, **loss)
    assert list(emb.losses) == run.losses
    assert len(emb.losses) == 15
    assert all(after < before for before, after in zip(run.losses[:-1], run.losses[1:], strict=True))


def test_the_loss_told_is_the_objective_per_weight():
    # So many epochs that the last solution of the keys changes nothing any more.
    emb, R, X, Y = trained(epochs=300, solver_steps=10, **IMPLICIT)
    assert emb.losses[-1] == pytest.approx(slow.implicit_objective(R, X, Y, ALPHA, LAMBDA, NU) / R.sum(), rel=1e-4)
    emb, R, X, Y = trained(epochs=300, solver_steps=10, **EXPLICIT)
    assert emb.losses[-1] == pytest.approx(slow.explicit_objective(R, X, Y, LAMBDA, NU) / (R > 0).sum(), rel=1e-4)


def test_key_vectors_solve_their_normal_equations():
    _, R, X, Y = trained(epochs=3, **IMPLICIT)
    expected = [slow.implicit_row(R, u, Y, ALPHA, LAMBDA, NU) for u in range(len(R))]
    np.testing.assert_allclose(X, expected, rtol=1e-3, atol=1e-4)


def test_no_change_of_a_key_vector_lowers_the_objective():
    _, R, X, Y = trained(epochs=3, **IMPLICIT)
    slopes = slow.gradient(lambda x: slow.implicit_objective(R, x, Y, ALPHA, LAMBDA, NU), X)
    elsewhere = slow.gradient(lambda x: slow.implicit_objective(R, x, Y, ALPHA, LAMBDA, NU), 1.1 * X)
    assert np.abs(slopes).max() < 1e-3 * np.abs(elsewhere).max()


def test_no_change_of_a_key_vector_lowers_the_objective_of_ratings():
    _, R, X, Y = trained(epochs=3, **EXPLICIT)
    free = np.ones_like(X)
    free[:, -1] = 0  # that number is always 1
    slopes = free * slow.gradient(lambda x: slow.explicit_objective(R, x, Y, LAMBDA, NU), X)
    elsewhere = free * slow.gradient(lambda x: slow.explicit_objective(R, x, Y, LAMBDA, NU), X * (1 + 0.1 * free))
    assert np.abs(slopes).max() < 1e-3 * np.abs(elsewhere).max()


@pytest.mark.parametrize("loss", [IMPLICIT, EXPLICIT])
def test_in_the_end_no_vector_can_be_bettered(loss):
    _, R, X, Y = trained(size=4, epochs=500, solver_steps=10, **loss)
    if loss is IMPLICIT:
        slopes = slow.gradient(lambda y: slow.implicit_objective(R, X, y, ALPHA, LAMBDA, NU), Y)
        elsewhere = slow.gradient(lambda y: slow.implicit_objective(R, X, y, ALPHA, LAMBDA, NU), 1.1 * Y)
    else:
        free = np.ones_like(Y)
        free[:, -2] = 0
        slopes = free * slow.gradient(lambda y: slow.explicit_objective(R, X, y, LAMBDA, NU), Y)
        elsewhere = free * slow.gradient(lambda y: slow.explicit_objective(R, X, y, LAMBDA, NU), Y * (1 + 0.1 * free))
    assert np.abs(slopes).max() < 1e-2 * np.abs(elsewhere).max()


@pytest.mark.parametrize("gathered", [True, False])
def test_vectors_that_are_too_many_to_gather_give_the_same(gathered, monkeypatch):
    monkeypatch.setattr("embedkit.trainers.factors.factorization._WORTH_GATHERING", 1 << 22 if gathered else 0)
    _, R, X, Y = trained(epochs=2, **IMPLICIT)
    expected = [slow.implicit_row(R, u, Y, ALPHA, LAMBDA, NU) for u in range(len(R))]
    np.testing.assert_allclose(X, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loss", [IMPLICIT, EXPLICIT, {}])
def test_a_history_folds_in_to_the_vector_of_the_key_that_has_it(loss):
    emb, *_ = trained(epochs=4, **loss)
    made = emb.query_vectors(emb.histories)
    np.testing.assert_allclose(made, emb.key_vectors, rtol=1e-3, atol=1e-4)


def test_a_history_is_worth_its_weights():
    emb, R, _, Y = trained(epochs=4, **IMPLICIT)
    history = {f"t{i}": float(R[2, i]) for i in np.flatnonzero(R[2])}
    expected = Y @ slow.implicit_row(R, 2, Y, ALPHA, LAMBDA, NU)
    for token, score in emb.recommend(history=history, topn=30, include_seen=True):
        assert score == pytest.approx(expected[int(token[1:])], abs=1e-4)
    assert emb.recommend(history=list(history), topn=30) != emb.recommend(history=history, topn=30)


@pytest.mark.parametrize("loss", [IMPLICIT, EXPLICIT])
def test_an_empty_history_is_a_row_of_zeros(loss):
    emb, *_ = trained(epochs=1, **loss)
    made = emb.query_vectors(History(np.array([0, 0, 2]), np.array([4, 5], np.int32)))
    assert made[0].tolist() == [0] * 5
    assert made[1].any()


def test_no_history_at_all_folds_in_to_nothing():
    emb, *_ = trained(epochs=1, **IMPLICIT)
    assert emb.query_vectors(History(np.zeros(1, np.int64), np.zeros(0, np.int32))).shape == (0, 5)


def test_ratings_are_predicted_by_the_product():
    table, seen = ratings()
    emb = embedkit.train(rated(table, seen), "als", loss="explicit", vector_size=6, regularization=1e-3, epochs=200)
    predicted = emb.key_vectors @ emb.targets[in_order(emb, 40)].T
    assert np.sqrt(np.mean((predicted - table)[seen] ** 2)) < 0.05
    assert np.sqrt(np.mean((predicted - table)[~seen] ** 2)) < 0.2 * table[~seen].std()


def test_a_rating_given_twice_counts_as_the_mean_of_both():
    twice = [Sentence(["a", "b", "b"], key="u", weights=[5, 1, 3]), Sentence(["a", "b"], key="v", weights=[4, 2])]
    once = [Sentence(["a", "b"], key="u", weights=[5, 2]), Sentence(["a", "b"], key="v", weights=[4, 2])]
    first, second = (
        embedkit.train(Corpus.from_sentences(s), "als", loss="explicit", vector_size=3, epochs=100)
        for s in (twice, once)
    )
    scores = [[e.key_vector("u") @ e.targets[e.tokens.find(t)] for t in "ab"] for e in (first, second)]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


def test_tokens_without_ratings_count_as_liked_most():
    table, seen = ratings()
    emb = embedkit.train(rated(table, seen), "als", loss="explicit", vector_size=6)
    top = emb.config["fold_in"]["top_rating"]
    assert top == pytest.approx(table[seen].max())
    assert emb.recommend(history=["t1", "t2"]) == emb.recommend(history={"t1": top, "t2": top})


@pytest.mark.parametrize("loss", [{}, {"loss": "explicit"}])
def test_any_number_of_workers_gives_the_same_bits(loss, monkeypatch):
    monkeypatch.setattr("embedkit.trainers.factors.factorization._COST_OF_A_PART", 64)
    first, second = (trained(epochs=3, workers=w, **loss)[0] for w in (1, 3))
    assert np.array_equal(first.vectors, second.vectors)
    assert np.array_equal(first.key_vectors, second.key_vectors)


def test_another_seed_gives_other_vectors():
    corpus = corpus_of(*likes())
    first, second = (embedkit.train(corpus, "als", vector_size=4, seed=s) for s in (1, 2))
    assert not np.array_equal(first.vectors, second.vectors)


@pytest.mark.parametrize("loss", [{}, {"loss": "explicit"}])
def test_a_saved_model_folds_in_alike(loss, tmp_path):
    emb, *_ = trained(epochs=2, **loss)
    emb.save(tmp_path / "model.safetensors")
    loaded = embedkit.load(tmp_path / "model.safetensors")
    assert loaded.recommend("k1") == emb.recommend("k1")
    assert loaded.recommend(history=["t1", "t2"]) == emb.recommend(history=["t1", "t2"])


def test_sentences_are_the_rows_where_nobody_owns_them():
    rows, weights = likes()
    owned, free = (embedkit.train(corpus_of(rows, weights, keyed=k), "als", vector_size=4) for k in (True, False))
    assert free.key_vectors is None
    assert np.array_equal(owned.vectors, free.vectors)
    assert free.recommend(history=["t1"]) == owned.recommend(history=["t1"])


def test_keys_keep_their_vectors_among_sentences_of_nobody():
    sentences = [Sentence(["a", "b"], key="u"), Sentence(["b", "c"]), Sentence(["c", "a"], key="v")]
    emb = embedkit.train(Corpus.from_sentences(sentences), "als", vector_size=2)
    assert emb.key_vectors.shape == (2, 2)
    np.testing.assert_allclose(emb.query_vectors(emb.histories), emb.key_vectors, rtol=1e-3, atol=1e-4)


def test_a_run_can_stop_and_snapshots_are_whole():
    corpus = corpus_of(*likes())

    class Looking(Recorder):
        def epoch_done(self, loss, snapshot):
            go_on = super().epoch_done(loss, snapshot)
            self.snapshots[-1] = snapshot()
            return go_on

    stopped, whole, plain = Looking(stop_after=2), Looking(), Recorder()
    first, last, unseen = (
        embedkit.train(corpus, "als", run=r, vector_size=4, epochs=5) for r in (stopped, whole, plain)
    )
    assert len(first.losses) == 2
    assert np.array_equal(whole.snapshots[1].vectors, first.vectors)
    assert np.array_equal(whole.snapshots[1].key_vectors, first.key_vectors)
    assert whole.snapshots[1].losses == first.losses
    assert np.array_equal(last.vectors, unseen.vectors), "looking at snapshots must not change what is learned"


def test_progress_reaches_its_end():
    run = Recorder()
    trained(run=run, epochs=3)
    done = [d for d, _ in run.reported]
    assert done == sorted(done)
    assert run.reported[-1][0] == run.reported[-1][1]


def test_an_interruption_ends_it_and_leaves_a_snapshot():
    class Impatient(Run):
        def progress(self, done, total, *, snapshot=None, **more):
            self.snapshot = snapshot
            raise KeyboardInterrupt

    run = Impatient()
    with pytest.raises(KeyboardInterrupt):
        trained(run=run, epochs=3, workers=2)
    assert np.isfinite(run.snapshot().key_vectors).all()


def test_ratings_that_are_not_there_are_asked_for():
    with pytest.raises(EmbedkitError, match="--weight-column"):
        embedkit.train(corpus_of(likes()[0]), "als", loss="explicit")


def test_a_model_that_does_not_know_how_it_was_learned_says_so():
    emb = Embeddings(["a", "b"], np.eye(2), query="ridge")
    with pytest.raises(EmbedkitError, match="train it again"):
        emb.recommend(history=["a"])


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
        embedkit.train(Corpus.from_sentences(sentences), "als")


@pytest.mark.parametrize(
    ("option", "value", "more"),
    [
        ("vector_size", 0, {}),
        ("vector_size", 2, {"loss": "explicit"}),
        ("loss", "bpr", {}),
        ("weighting", "mean", {}),
        ("unobserved_weight", 0, {}),
        ("regularization", 0, {}),
        ("regularization", float("nan"), {}),
        ("regularization_exponent", 3, {}),
        ("epochs", 0, {}),
        ("solver_steps", 0, {}),
        ("workers", 0, {}),
        ("seed", -1, {}),
    ],
)
def test_options_out_of_range_are_refused_by_name(option, value, more):
    with pytest.raises(OptionError, match=f"^{option} must"):
        embedkit.train(corpus_of(*likes()), "als", **{option: value}, **more)
