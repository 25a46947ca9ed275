"""Cold start: the map agrees with ridge regressions done one row at a time, and new items are recommended."""

import numpy as np
import pytest
from click.testing import CliRunner

from embedkit import Embeddings, EmbedkitError, History, OptionError, load
from embedkit.cli.app import app
from embedkit.extending import extend
from embedkit.extending.features import Features
from embedkit.extending.lengths import Trial, _scale_for_share
from embedkit.extending.ridge import Decomposition

N_OLD, N_NEW, N_KEYS = 160, 40, 120


def world(context=True, histories=True, seed=0):
    """Items of four kinds: content tells the kind, learned vectors follow it; keys take items of one kind."""
    rng = np.random.default_rng(seed)
    n = N_OLD + N_NEW
    kinds = np.arange(n) % 4
    content = np.eye(4, 8)[kinds] * 3 + rng.normal(0, 0.3, (n, 8))
    learned = (np.eye(4, 6)[kinds] * 2 + rng.normal(0, 0.2, (n, 6))).astype(np.float32)
    tokens = [f"i{i}" for i in range(n)]
    rows = [rng.permutation(np.flatnonzero(kinds[:N_OLD] == key % 4))[:8] for key in range(N_KEYS)]
    history = History(np.arange(0, 8 * N_KEYS + 1, 8), np.concatenate(rows).astype(np.int32))
    parts = {"keys": [f"u{k}" for k in range(N_KEYS)], "histories": history} if histories else {}
    if context:
        parts["context_vectors"] = learned[:N_OLD] * 1.5
    old = Embeddings(tokens[:N_OLD], learned[:N_OLD], counts=rng.integers(1, 50, N_OLD), **parts)
    return old, Embeddings(tokens, content), kinds


def one_by_one(features, targets, weights, penalty):
    """Leave out each row, solve the normal equations of the others about their weighted means, predict the row."""
    made = []
    for row in range(len(features)):
        kept = np.arange(len(features)) != row
        x, y, w = features[kept], targets[kept], weights[kept]
        # About the means of all rows, as the library has it: the mean is no part of what is left out.
        a = np.hstack((x - weights @ features / len(features), np.ones((len(x), 1))))
        left = (a * w[:, None]).T @ a + np.diag([penalty] * x.shape[1] + [0])
        solved = np.linalg.solve(left, (a * w[:, None]).T @ y)
        made.append(np.append(features[row] - weights @ features / len(features), 1) @ solved)
    return np.array(made)


@pytest.mark.parametrize(("n", "p"), [(30, 4), (12, 20)])
def test_leaving_out_is_exact(n, p):
    rng = np.random.default_rng(1)
    features, targets = rng.normal(size=(n, p)).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32)
    weights = rng.random(n) + 0.5
    weights /= weights.mean()
    axes = Decomposition(features, weights, rng)
    found = axes.fit(targets)
    expected = one_by_one(features.astype(np.float64), targets, weights, found.regularization * axes.values[0])
    assert axes.left_out(found, targets) == pytest.approx(expected, abs=2e-3)


def test_the_map_is_the_ridge_regression():
    rng = np.random.default_rng(2)
    x, weights = rng.normal(size=(50, 5)).astype(np.float32), np.ones(50)
    y = (x @ rng.normal(size=(5, 2)) + 4 + rng.normal(0, 0.5, (50, 2))).astype(np.float32)
    axes = Decomposition(x, weights, rng)
    found = axes.fit(y)
    centred = x - x.mean(axis=0)
    penalty = found.regularization * axes.values[0] * np.eye(5)
    solved = np.linalg.solve(centred.T @ centred + penalty, centred.T @ (y - y.mean(axis=0)))
    assert axes.predict(found, x) == pytest.approx(centred @ solved + y.mean(axis=0), abs=1e-3)
    assert 0.5 < found.explained < 1


def test_noise_explains_nothing():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(300, 10)).astype(np.float32), rng.normal(size=(300, 4)).astype(np.float32)
    found = Decomposition(x, np.ones(300), rng).fit(y)
    assert abs(found.explained) < 0.05


def test_features_are_of_length_one_and_bumps_are_a_kernel():
    rng = np.random.default_rng(4)
    content = rng.normal(size=(60, 3)) * 100 + 7
    plain = Features.of(content, None, rng)(content)
    assert np.linalg.norm(plain, axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    made = Features.of(content, 0.5, rng)(content)
    kernel = np.exp((plain @ plain.T - 1) / 0.5)
    assert made[:, 3:] @ made[:, 3:].T == pytest.approx(kernel, abs=2e-3)


@pytest.mark.parametrize("context", [True, False])
@pytest.mark.parametrize("histories", [True, False])
@pytest.mark.parametrize("length", ["auto", "typical", "predicted"])
def test_new_items_lie_among_their_kind_and_are_recommended(context, histories, length):
    old, content, kinds = world(context, histories)
    emb = extend(old, content, length=length)
    assert list(emb.tokens) == list(content.tokens)
    assert emb.counts[N_OLD:].tolist() == [0] * N_NEW
    note = emb.config["extended"]
    assert (note["tokens"], note["first"], note["learned_from"]) == (N_NEW, N_OLD, N_OLD)
    assert note["explained"] > 0.8
    assert np.array_equal(emb.vectors[:N_OLD], old.vectors)
    assert np.array_equal(emb.targets[:N_OLD], old.targets)
    for new in range(N_OLD, N_OLD + N_NEW):
        near = [int(token[1:]) for token, _ in emb.most_similar(f"i{new}", topn=5)]
        assert (kinds[near] == kinds[new]).all()
    cold = [f"i{i}" for i in range(N_OLD, N_OLD + N_NEW)]
    history = ["i0", "i4"]
    first = [int(token[1:]) for token, _ in emb.recommend(history=history, only=cold, topn=10)]
    assert (kinds[first] == 0).all()
    if histories:
        assert {token for key in ("u0", "u1") for token, _ in emb.recommend(key, topn=40)} & set(cold)


def test_the_same_seed_gives_the_same(tmp_path):
    old, content, _ = world()
    first, second = (extend(old, content, seed=5) for _ in range(2))
    assert np.array_equal(first.vectors, second.vectors)
    assert np.array_equal(first.targets, second.targets)
    assert first.config == second.config


def test_labels_of_both_are_kept_and_a_mapping_of_ratings_keeps_its_offsets():
    old, content, _ = world(histories=False)
    content = Embeddings(content.tokens, content.vectors, labels=[f"Item {t}" for t in content.tokens])
    config = {"fold_in": {"loss": "explicit"}}
    ratings = np.pad(old.vectors[:, 1:], ((0, 0), (0, 1)), constant_values=1)
    emb = extend(Embeddings(old.tokens, old.vectors, context_vectors=ratings, config=config), content)
    assert emb.label("i0") == "i0"
    assert emb.label(f"i{N_OLD}") == f"Item i{N_OLD}"
    assert emb.config["extended"]["length"] == "predicted"
    assert emb.targets[N_OLD:, -1] == pytest.approx(np.ones(N_NEW), abs=1e-4)
    assert emb.counts is None


def offset_model(query, **more):
    """Targets of length 1 (or 3) with an offset of 5 to 7, which follows the kind, behind them."""
    old, content, kinds = world()
    length = 1 if query == "contrastive" else 3
    units = old.vectors[:, :5] / np.linalg.norm(old.vectors[:, :5], axis=1, keepdims=True)
    offsets = 5 + kinds[:N_OLD, None] / 1.5
    vectors = np.hstack((units, np.zeros((N_OLD, 1)))).astype(np.float32)
    parts = {"keys": old.keys, "histories": old.histories, "query": query, **more}
    targets = np.hstack((units * length, offsets)).astype(np.float32)
    return Embeddings(old.tokens, vectors, context_vectors=targets, **parts), content, 5 + kinds[N_OLD:] / 1.5


@pytest.mark.parametrize("length", ["auto", "typical"])
def test_offsets_of_contrastive_stay_as_predicted_behind_unit_vectors(length):
    old, content, offsets = offset_model("contrastive", config={"recency": 1.0, "offsets": True})
    emb = extend(old, content, length=length)
    assert np.linalg.norm(emb.targets[N_OLD:, :-1], axis=1) == pytest.approx(np.ones(N_NEW), abs=1e-4)
    assert emb.targets[N_OLD:, -1] == pytest.approx(offsets, abs=0.3)
    assert emb.config["extended"]["scale"] == 1


@pytest.mark.parametrize("length", ["auto", "typical"])
def test_a_prior_is_not_scaled(length):
    prior = np.array([0, 0, 0, 0, 0, 0.1], np.float32)
    config = {"fold_in": {"recency_exponent": 0.0}}
    old, content, offsets = offset_model("spectral", arrays={"prior": prior}, config=config)
    emb = extend(old, content, length=length)
    assert emb.targets[N_OLD:, -1] == pytest.approx(offsets, abs=0.3)
    if length == "typical":
        assert np.linalg.norm(emb.targets[N_OLD:, :-1], axis=1) == pytest.approx(np.full(N_NEW, 3), abs=0.05)


def test_what_is_added_is_not_scaled():
    rng = np.random.default_rng(0)
    new, learned = (-np.sort(-rng.random((200, 20)), axis=1) for _ in range(2))
    assert _scale_for_share(new / 3, learned + 7, 0.5, np.full((200, 20), 7.0)) == _scale_for_share(
        new / 3, learned, 0.5
    )


def test_biases_are_filled_with_their_mean():
    old, content, _ = world(histories=False)
    biases = np.linspace(-1, 3, N_OLD, dtype=np.float32)
    arrays = {"biases": biases, "context_biases": 2 * biases}
    emb = extend(Embeddings(old.tokens, old.vectors, arrays=arrays), content)
    for name, array in arrays.items():
        assert emb.arrays[name].dtype == np.float32
        assert np.array_equal(emb.arrays[name][:N_OLD], array)
        assert emb.arrays[name][N_OLD:] == pytest.approx(np.full(N_NEW, array.mean()))


def test_the_scale_gives_new_items_their_share():
    rng = np.random.default_rng(0)
    new, learned = (-np.sort(-rng.random((200, 20)), axis=1) for _ in range(2))
    for share in (0.1, 0.5, 0.8):
        scale = _scale_for_share(new / 3, learned, share)
        top = np.argsort(-np.hstack((new / 3 * scale, learned)), axis=1)[:, :20]
        assert (top < 20).mean() == pytest.approx(share, abs=0.06)


def test_negative_scores_are_not_scaled_towards_nothing():
    rng = np.random.default_rng(0)
    new, learned = (-np.sort(-(-2 - rng.random((200, 20))), axis=1) for _ in range(2))
    assert 2 < _scale_for_share(new / 2, learned, 0.2) < 3.5


def test_the_trial_prefers_better_predictions():
    old, _, _ = world()
    rng = np.random.default_rng(0)
    trial = Trial(old, np.arange(N_OLD), rng)
    assert len(trial) == N_KEYS
    noise = rng.normal(size=old.targets.shape).astype(np.float32)
    assert trial.best([noise, np.asarray(old.targets), -old.targets]) == 1
    assert 0.5 < trial.scale(np.asarray(old.targets)) < 2
    assert 1 < trial.scale(np.asarray(old.targets) / 3) < 6


def test_numbers_of_tokens_go_on_as_those_of_the_rarest():
    old, content, _ = world(histories=False)
    arrays = {"keep": np.linspace(0.5, 1, N_OLD), "gramian": np.eye(6), "prior": np.ones(N_OLD)}
    emb = extend(Embeddings(old.tokens, old.vectors, arrays=arrays), content)
    assert emb.arrays["keep"].shape == (N_OLD + N_NEW,)
    assert (emb.arrays["keep"][N_OLD:] == 1).all()
    assert np.array_equal(emb.arrays["gramian"], np.eye(6))
    assert emb.arrays["prior"].shape == (N_OLD,)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([f"i{i}" for i in range(N_OLD)], "there is nothing to extend it by"),
        ([f"x{i}" for i in range(40)], "has 0 tokens of the model, too few"),
        ([f"i{i}" for i in range(N_OLD - 5, N_OLD + 5)], "has 5 tokens of the model, too few"),
    ],
)
def test_content_that_does_not_fit(tokens, message):
    old, content, _ = world()
    given = Embeddings(tokens, np.resize(content.vectors, (len(tokens), 8)))
    with pytest.raises(EmbedkitError, match=message):
        extend(old, given)


def test_content_that_tells_nothing_is_no_error():
    old, content, _ = world()
    emb = extend(old, Embeddings(content.tokens, np.ones((N_OLD + N_NEW, 3))))
    assert emb.config["extended"]["explained"] <= 0.01
    assert np.isfinite(emb.targets).all()


def test_a_length_that_is_none():
    old, content, _ = world()
    with pytest.raises(OptionError, match="must be 'auto', 'typical' or 'predicted'"):
        extend(old, content, length="long")


def run(*args):
    return CliRunner().invoke(app, list(args))


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old, content, _ = world()
    old.save("m.safetensors")
    np.savez("content.npz", v=content.vectors, tokens=np.array(list(content.tokens)))
    done = run("extend", "--model", "m.safetensors", "--content", "content.npz")
    assert done.exit_code == 0, done.stderr
    assert "Learned from 160 tokens" in done.stderr
    assert "Wrote m-extended.safetensors" in done.stderr
    emb = load("m-extended.safetensors")
    assert len(emb) == N_OLD + N_NEW
    shown = run("info", "--model", "m-extended.safetensors").stdout
    assert "extended:" in shown
    assert "tokens 40, first 160" in shown
    assert run("recommend", "u1", "--model", "m-extended.safetensors").exit_code == 0


def test_the_command_refuses_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old, content, _ = world()
    old.save("m.safetensors")
    content.save("c.safetensors")
    for arguments in (["--output", "m.safetensors"], ["--output", "c.safetensors"], ["--content", "none.npy"]):
        result = run("extend", "--model", "m.safetensors", "--content", "c.safetensors", *arguments)
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1), result.stderr
    assert len(load("m.safetensors")) == N_OLD


def test_huge_vectors_are_refused():
    old, content = Embeddings(["a", "b"], np.ones((2, 3))), Embeddings(["a", "b", "c"], np.eye(3))
    huge = Embeddings(["a", "b"], np.full((2, 3), 1e30))
    with pytest.raises(EmbedkitError, match="huge or not finite"):
        extend(huge, content)
    with pytest.raises(EmbedkitError, match="huge or not finite"):
        extend(old, Embeddings(["a", "b", "c"], np.full((3, 3), np.nan, np.float32)))
