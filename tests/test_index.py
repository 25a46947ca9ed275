"""The index: what it finds, what filters leave of it, its file and what is wrong with it, its commands."""

import json
import warnings

import numpy as np
import pytest
from conftest import needs

needs("faiss")

import embedkit
from embedkit import Embeddings, History, scoring
from embedkit.cli.app import app
from embedkit.embeddings import index as indexing
from embedkit.errors import EmbedkitError, ModelError, OptionError

N, WIDTH = 12_000, 16


def catalogue(n=N, seed=1):
    """Vectors around some directions, with lengths of a heavy tail."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((60, WIDTH))
    rows = centres[rng.integers(0, 60, n)] + 0.6 * rng.standard_normal((n, WIDTH))
    rows *= rng.lognormal(0, 0.5, (n, 1)) / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def queries(n, seed=2):
    return catalogue(n, seed)


@pytest.fixture(scope="module")
def vectors():
    return catalogue()


@pytest.fixture(scope="module")
def tiers(vectors):
    return scoring.Tiers.build(vectors, "dot")


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(3)
    vectors = catalogue()
    keys = [f"u{i}" for i in range(40)]
    best = scoring.topk(vectors[:40], vectors, 40).ids
    history = History(np.arange(41) * 30, best[:, :30].reshape(-1).astype(np.int32))
    return Embeddings(
        [f"i{i}" for i in range(N)], vectors, counts=rng.integers(1, 9, N), keys=keys, histories=history,
        key_vectors=vectors[:40],
    )  # fmt: skip


@pytest.fixture(scope="module")
def indexed(model):
    return model.indexed()


@pytest.fixture
def saved(indexed, tmp_path):
    path = tmp_path / "model.safetensors"
    indexed.save(path)
    return path


def recall(found, truth):
    return np.mean([len(np.intersect1d(a[a >= 0], b)) / len(b) for a, b in zip(found, truth, strict=True)])


def run(*args):
    with pytest.raises(SystemExit) as leaving:
        app.main([str(arg) for arg in args])
    return leaving.value.code


def test_dot_products_of_all_lengths_are_found(vectors, tiers):
    asked = queries(300)
    found, exact = scoring.topk(asked, vectors, 10, tiers=tiers), scoring.topk(asked, vectors, 10)
    assert len(tiers.cells) == 2
    assert len(tiers) == N
    assert recall(found.ids, exact.ids) > 0.95
    assert (np.diff(found.scores, axis=1) <= 0).all()
    scores = np.take_along_axis(asked @ vectors.T, found.ids.astype(int), axis=1)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5, atol=1e-5)


def test_the_second_tier_is_not_needed_where_the_first_holds_greater_scores(vectors, tiers):
    longest_alone = scoring.Tiers(tiers.cells[:1], tiers.longest[:1])
    asked = vectors[np.argsort(-np.linalg.norm(vectors, axis=1))[:50]]
    scores = scoring.topk(asked, vectors, 1, tiers=tiers).scores[:, 0]
    beyond_reach = scores > np.linalg.norm(asked, axis=1) * tiers.longest[1]
    assert beyond_reach.any()
    of_first = scoring.topk(asked, vectors, 1, tiers=longest_alone)
    np.testing.assert_allclose(of_first.scores[beyond_reach, 0], scores[beyond_reach])


def test_vectors_of_one_length_lie_in_one_tier():
    assert len(scoring.Tiers.build(scoring.normalized(catalogue(9000)), "dot").cells) == 1


def test_cosines_are_found(vectors):
    tiers = scoring.Tiers.build(vectors, "cosine")
    inverse = scoring.inverse_norms(vectors)
    found = scoring.most_similar(queries(200), vectors, inverse, 10, tiers=tiers)
    exact = scoring.most_similar(queries(200), vectors, inverse, 10)
    assert recall(found.ids, exact.ids) > 0.95
    assert found.scores.max() <= 1.00001


def test_what_is_left_out_does_not_come_back_and_as_many_do(vectors, tiers):
    asked = queries(20)
    exact = scoring.topk(asked, vectors, 400).ids
    exclude = scoring.Rows(np.arange(21) * 300, exact[:, :300].reshape(-1))
    found = scoring.topk(asked, vectors, 10, tiers=tiers, exclude=exclude, banned=exact[0, 300:305])
    assert (found.ids >= 0).all()
    for row in range(20):
        assert not np.isin(found.ids[row], [*exact[row, :300], *exact[0, 300:305]]).any()
    right = scoring.topk(asked, vectors, 10, exclude=exclude, banned=exact[0, 300:305])
    assert recall(found.ids, right.ids) > 0.9


def test_few_that_are_allowed_are_ranked_exactly(vectors, tiers):
    only = np.arange(5, N, 40)
    found = scoring.topk(queries(9), vectors, 10, tiers=tiers, only=only)
    exact = scoring.topk(queries(9), vectors, 10, only=only)
    assert (found.ids == exact.ids).all()


def test_many_that_are_allowed_are_found_among_the_others(vectors, tiers):
    only = np.flatnonzero(np.arange(N) % 3)
    found = scoring.topk(queries(50), vectors, 10, tiers=tiers, only=only)
    assert (found.ids % 3 > 0).all()
    assert recall(found.ids, scoring.topk(queries(50), vectors, 10, only=only).ids) > 0.9


def test_all_is_ranked_where_nearly_all_is_left_out(vectors, tiers):
    best = scoring.topk(queries(1), vectors, N).ids[0]
    left_out = scoring.Rows(np.array([0, N - 3]), np.sort(best[:-3]))
    found = scoring.topk(queries(1), vectors, 10, tiers=tiers, exclude=left_out)
    assert found.ids[0, :3].tolist() == best[-3:].tolist()
    assert (found.ids[0, 3:] == -1).all()
    assert (found.scores[0, 3:] == -np.inf).all()


def test_more_than_cells_are_asked_for_is_ranked_exactly(vectors, tiers):
    found, exact = (scoring.topk(queries(2), vectors, 5000, tiers=through) for through in (tiers, None))
    assert (found.ids == exact.ids).all()


def test_a_query_of_zeros_is_answered_as_without_an_index(vectors, tiers):
    asked = np.zeros((2, WIDTH), np.float32)
    asked[1] = vectors[0]
    found, exact = (scoring.topk(asked, vectors, 5, tiers=through) for through in (tiers, None))
    assert found.ids[0].tolist() == exact.ids[0].tolist() == [0, 1, 2, 3, 4]


def test_no_queries_give_no_answers(vectors, tiers):
    assert scoring.topk(queries(1)[:0], vectors, 5, tiers=tiers).ids.shape == (0, 5)


def test_a_score_that_is_not_finite_is_refused(vectors, tiers):
    asked = queries(2)
    asked[1, 3] = np.nan
    with pytest.raises(EmbedkitError, match="not finite"):
        scoring.topk(asked, vectors, 5, tiers=tiers)


def test_topn_below_one_is_refused(vectors, tiers):
    with pytest.raises(OptionError, match="topn"):
        scoring.topk(queries(2), vectors, 0, tiers=tiers)


def test_the_same_seed_gives_the_same_cells(vectors):
    images = [scoring.Tiers.build(vectors[:3000], "dot").cells[0].image for _ in range(2)]
    assert (images[0] == images[1]).all()


def test_embeddings_answer_through_their_index(model, indexed):
    assert model.index is None
    assert set(indexed.index.measures) == {"dot", "cosine"}
    seen = {key: set(model.tokens[model.histories.take(np.array([row])).indices]) for row, key in enumerate(model.keys)}
    exact, found = model.recommend(list(model.keys)), indexed.recommend(list(model.keys))
    assert len(found) == len(exact) == 400
    assert not any(token in seen[key] for key, token in zip(found["key"], found["token"], strict=True))
    assert len(exact.merge(found, on=["key", "token"])) > 380
    pairs = indexed.most_similar("i7")
    assert len(pairs) == 10
    assert "i7" not in dict(pairs)
    assert len(set(dict(pairs)) & set(dict(model.most_similar("i7")))) >= 9
    assert indexed.exact().index is None
    assert indexed.with_config(note="x").index is indexed.index


def test_an_index_for_one_purpose_leaves_the_other_exact(model):
    for_similar = model.indexed(["cosine"])
    assert for_similar.index.tiers("dot") is None
    assert for_similar.recommend("u1") == model.recommend("u1")


def test_progress_comes_to_its_end(model):
    told = []
    model.indexed(["cosine"], progress=lambda *args: told.append(args))
    assert {what for what, _, _ in told} == {"finding cells", "filling cells"}
    assert told[-1] == ("filling cells", N, N)


def test_a_small_model_gets_no_index():
    small = Embeddings(["a", "b"], np.eye(2))
    with pytest.raises(EmbedkitError, match="at least 1,000 tokens; this model has 2"):
        small.indexed()


def test_vectors_that_are_not_finite_get_no_index(vectors):
    broken = vectors[:2000].copy()
    broken[77, 1] = np.inf
    with pytest.raises(EmbedkitError, match="no neighbours"):
        Embeddings([str(i) for i in range(2000)], broken).indexed()


def test_an_index_lies_beside_its_model(saved, indexed):
    assert saved.with_name("model.safetensors.index").exists()
    opened = embedkit.load(saved, index=True)
    assert opened.recommend("u3") == indexed.recommend("u3")
    assert opened.most_similar("i3") == indexed.most_similar("i3")
    assert embedkit.load(saved, index=False).index is None


def test_a_small_catalogue_is_not_searched_through_an_index_unasked(saved, monkeypatch):
    assert embedkit.load(saved).index is None
    monkeypatch.setattr(indexing, "WORTH", N)
    assert embedkit.load(saved).index is not None


def test_an_index_is_not_read_for_a_few_questions(saved, model, monkeypatch):
    monkeypatch.setattr(indexing, "WORTH", N)
    opened = embedkit.load(saved)
    indexing.path_of(saved).unlink()  # who reads it now is told
    for _ in range(indexing.PATIENCE):
        assert opened.recommend("u1") == model.recommend("u1")
    with pytest.warns(UserWarning, match="answers are exact, not through an index: .*cannot be used"):
        assert opened.recommend("u1") == model.recommend("u1")
    assert opened.recommend("u1") == model.recommend("u1")


def test_an_index_that_was_asked_for_and_is_gone_is_refused(saved):
    opened = embedkit.load(saved, index=True)
    indexing.path_of(saved).unlink()
    with pytest.raises(ModelError, match="cannot be used"):
        opened.recommend("u1")


def test_an_index_of_fewer_tokens_is_refused(model):
    smaller = embedkit.Embeddings(model.tokens[:1500], np.asarray(model.vectors[:1500]))
    with pytest.raises(EmbedkitError, match=r"the index is of 1,500 tokens and there are"):
        model.with_index(smaller.indexed().index)


def test_the_index_of_another_model_is_refused_or_left_alone(saved, model, monkeypatch):
    model.with_config(note="trained again").save(saved)
    with pytest.raises(ModelError, match=r"belongs to another model than the one beside it. Make it again"):
        embedkit.load(saved, index=True)
    monkeypatch.setattr(indexing, "WORTH", 1)
    with pytest.warns(UserWarning, match="answers are exact, not through an index: .*belongs to another model"):
        opened = embedkit.load(saved)
    assert opened.index is None
    assert len(opened.recommend("u1")) == 10


def test_a_missing_index_is_told_of(saved):
    indexing.path_of(saved).unlink()
    with pytest.raises(ModelError, match=r"there is no index .*make one with `embedkit index --model"):
        embedkit.load(saved, index=True)


@pytest.mark.parametrize("cut", [0, 5, 40, 2000, -1])
def test_a_truncated_index_is_refused(saved, cut):
    path = indexing.path_of(saved)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ModelError, match=r"index is truncated or damaged \(.*\). Make it again with `embedkit index`"):
        embedkit.load(saved, index=True)


def test_a_model_is_no_index(saved):
    indexing.path_of(saved).write_bytes(saved.read_bytes())
    with pytest.raises(ModelError, match="no index of embedkit"):
        embedkit.load(saved, index=True)


def test_a_changed_byte_is_found_before_faiss_reads_it(saved):
    path = indexing.path_of(saved)
    data = bytearray(path.read_bytes())
    data[-1000] ^= 255
    path.write_bytes(data)
    opened = embedkit.load(saved, index=True)
    with pytest.raises(ModelError, match=r"checksum is not the one it was written with. Make it again"):
        opened.recommend("u1"), opened.most_similar("i1")


def test_a_changed_bound_is_found_before_it_is_believed(saved):
    path = indexing.path_of(saved)
    data = path.read_bytes()
    place = data.index(b'longest\\": ') + len(b'longest\\": ')
    path.write_bytes(data[:place] + (b"1" if data[place : place + 1] != b"1" else b"2") + data[place + 1 :])
    opened = embedkit.load(saved, index=True)
    with pytest.raises(ModelError, match=r"checksum is not the one it was written with. Make it again"):
        opened.recommend("u1")


def test_an_index_that_was_not_yet_read_is_saved_with_its_model(saved, indexed, monkeypatch, tmp_path):
    monkeypatch.setattr(indexing, "WORTH", N)
    embedkit.load(saved).save(tmp_path / "copy.safetensors")
    assert embedkit.load(tmp_path / "copy.safetensors", index=True).recommend("u3") == indexed.recommend("u3")


@pytest.mark.parametrize("change", [{"vector_size": 3}, {"measures": {}}, {"measures": 7}, {"format_version": 99}])
def test_an_index_that_tells_nonsense_of_itself_is_refused(saved, change):
    path = indexing.path_of(saved)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    told = json.loads(header["__metadata__"]["embedkit.index"]) | change
    header["__metadata__"]["embedkit.index"] = json.dumps(told)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + int.from_bytes(data[:8], "little") :])
    with pytest.raises(ModelError, match=r"index (was written|does not fit|is no index|is truncated)"):
        embedkit.load(saved, index=True)


def test_the_command_makes_an_index_that_others_answer_through(model, tmp_path, capsys):
    path = tmp_path / "shop.safetensors"
    model.save(path)
    assert run("recommend", "u1", "--model", path, "--index") == 1
    assert "make one with `embedkit index" in capsys.readouterr().err
    assert run("index", "--model", path, "--for", "similar") == 0
    assert "12,000 tokens, for similar," in capsys.readouterr().err
    assert run("recommend", "u1", "--model", path, "--index") == 1
    assert "is not for `recommend`" in capsys.readouterr().err
    assert run("similar", "i5", "--model", path, "--index", "--topn", "3", "--format", "json") == 0
    through = [found["token"] for found in json.loads(capsys.readouterr().out)]
    assert run("similar", "i5", "--model", path, "--exact", "--topn", "3", "--format", "json") == 0
    assert [found["token"] for found in json.loads(capsys.readouterr().out)] == through
    assert run("index", "--model", path) == 0
    assert "for recommend and similar," in capsys.readouterr().err
    assert run("recommend", "--all", "--model", path, "--index", "--format", "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 401


def test_the_command_tells_of_an_index_that_is_another_models(saved, model, monkeypatch, capsys):
    monkeypatch.setattr(indexing, "WORTH", 1)
    model.with_config(note="trained again").save(saved)
    assert run("recommend", "u1", "--model", saved) == 0
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert "belongs to another model" in told.err
    assert run("recommend", "u1", "--model", saved, "--exact") == 0
    assert capsys.readouterr().err == ""


def test_the_command_replaces_nothing_but_an_index(saved, capsys):
    indexing.path_of(saved).write_text("notes of mine")
    assert run("index", "--model", saved) == 1
    assert "is there already and is no index" in capsys.readouterr().err
    indexing.path_of(saved).write_bytes(saved.read_bytes())  # a model that happens to bear the name
    assert run("index", "--model", saved) == 1
    assert "is there already and is no index" in capsys.readouterr().err
    assert indexing.path_of(saved).read_bytes() == saved.read_bytes()
    assert run("similar", "u1", "--keys", "--model", saved, "--index") == 2


def test_without_faiss_the_extra_is_named(saved, model, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    assert run("index", "--model", saved) == 1
    assert "pip install '.[index]'" in capsys.readouterr().err
    monkeypatch.setattr(indexing, "WORTH", 1)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert len(embedkit.load(saved).recommend("u1")) == 10
    assert "pip install '.[index]'" in str(told[0].message)
