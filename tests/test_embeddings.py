import subprocess
import sys
import unicodedata
from types import SimpleNamespace

import numpy as np
import pytest

import embedkit
from embedkit.contracts import History
from embedkit.embeddings import Embeddings, recommending
from embedkit.errors import EmbedkitError, OptionError, PluginError, UnknownNameError
from embedkit.names import Names

TOKENS = ["apple, red", "beer", "cheese", "dates", "eggs"]
KEYS = ["ann", "beer", "cy", "-dee"]
VECTORS = np.array([[1, 0], [0, 1], [1, 1], [-1, 0], [0, 0]], np.float32)
CONTEXT = np.array([[2, 0], [0, 3], [1, 1], [0, 0], [5, 0]], np.float32)
HISTORIES = History(np.array([0, 2, 3, 3, 4]), np.array([0, 2, 1, 4], np.int32))


def make(**more):
    parts = {"context_vectors": CONTEXT, "counts": [5, 9, 9, 1, 3], "keys": KEYS, "histories": HISTORIES}
    return Embeddings(TOKENS, VECTORS, **{**parts, **more})


@pytest.fixture
def emb():
    return make()


# What it is made of


def test_vectors_by_name(emb):
    assert emb["cheese"].tolist() == emb.vector("cheese").tolist() == [1, 1]
    assert emb[["beer", "dates"]].tolist() == [[0, 1], [-1, 0]]
    assert emb["apple, red"].tolist() == [1, 0]
    assert len(emb) == 5
    assert "beer" in emb
    assert "ann" not in emb
    assert 3 not in emb
    assert repr(emb) == "Embeddings(5 tokens × 2, 4 keys)"
    assert repr(Embeddings(["a"], [[1.0]])) == "Embeddings(1 tokens × 1)"


def test_nothing_changes(emb):
    with pytest.raises(ValueError, match="read-only"):
        emb.vectors[0, 0] = 9
    with pytest.raises(AttributeError, match="do not change: vectors"):
        emb.vectors = VECTORS
    more = emb.with_config(trainer="x")
    assert (dict(emb.config), dict(more.config)) == ({}, {"trainer": "x"})
    assert more.vectors is emb.vectors


def test_arrays_are_brought_to_their_types():
    emb = Embeddings(TOKENS, np.asfortranarray(VECTORS.astype(np.float64)), counts=np.arange(5, dtype=np.int32))
    assert emb.vectors.dtype == np.float32
    assert emb.vectors.flags.c_contiguous
    assert emb.counts.dtype == np.int64


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"tokens": "apple"}, "must be a list of strings, not one string"),
        ({"tokens": ["a", "b", "a", "c", "d"]}, "'a' stands twice"),
        ({"tokens": ["a"]}, "there are 5 vectors for 1 tokens"),
        ({"tokens": [1, 2, 3, 4, 5]}, "names must be strings"),
        ({"vectors": np.ones(5)}, "vectors must be a matrix of numbers"),
        ({"vectors": np.ones((5, 0))}, "at least one column"),
        ({"vectors": np.full((5, 2), "x")}, "vectors must be a matrix of numbers"),
        ({"context_vectors": np.ones((5, 3))}, "context_vectors have 3 columns, but vectors have 2"),
        ({"context_vectors": np.ones((4, 2))}, "there are 4 context_vectors for 5 tokens"),
        ({"counts": [1.5] * 5}, "counts must be a int64 array"),
        ({"labels": ["one"]}, "there are 1 labels for 5 tokens"),
        ({"keys": None}, "need the names of their keys"),
        ({"keys": ["x"]}, "histories.indptr for 2"),
        ({"key_vectors": np.ones((3, 2))}, "there are 3 key_vectors for 4 keys"),
        ({"histories": History(np.array([0, 2, 1, 3, 4]), HISTORIES.indices)}, "end before they begin"),
        ({"histories": History(np.array([0, 2, 3, 3, 3]), HISTORIES.indices)}, "begin at 0 and end"),
        ({"histories": History(HISTORIES.indptr, np.array([0, 2, 1, 5]))}, "not among the 5 tokens"),
        ({"histories": History(HISTORIES.indptr, np.array([0, 2, 1, -1]))}, "not among the 5 tokens"),
        ({"config": {"path": object()}}, "config 'path' cannot be written as JSON"),
        ({"arrays": {"x": np.array(["a"])}}, "array 'x' must hold numbers"),
    ],
)
def test_parts_that_do_not_fit(more, message):
    parts = {"tokens": TOKENS, "vectors": VECTORS, "keys": KEYS, "histories": HISTORIES, **more}
    with pytest.raises(EmbedkitError, match=message):
        Embeddings(**parts)


def test_from_corpus_takes_names_counts_and_histories():
    names = Names.from_strings
    corpus = SimpleNamespace(
        tokens=names(TOKENS), counts=np.arange(5), labels=names(["", "Beer!", "", "", ""]), keys=names(KEYS),
        histories=lambda: HISTORIES,
    )  # fmt: skip
    emb = Embeddings.from_corpus(corpus, VECTORS, losses=[2, 1])
    assert (emb.label("beer"), emb.label("dates")) == ("Beer!", "dates")
    assert emb.losses == (2.0, 1.0)
    assert emb.recommend("ann", topn=1) == [("beer", 0.5)]


# Unknown names


def test_unknown_names_offer_the_nearest(emb):
    with pytest.raises(UnknownNameError, match=r"^there is no token 'chese'\. Did you mean 'cheese'\?$"):
        emb["chese"]
    with pytest.raises(KeyError, match=r"no key 'an'\. Did you mean 'ann'"):
        emb.recommend("an")
    with pytest.raises(UnknownNameError, match=r"no token 'ann'\. There is a key of that name"):
        emb.most_similar("ann")
    with pytest.raises(UnknownNameError, match=r"There are 4, such as 'ann', 'beer', 'cy'"):
        emb.key_vector("zzzz")
    for filters in ({"only": ["beeer"]}, {"exclude": "beeer"}):
        with pytest.raises(UnknownNameError, match="Did you mean 'beer'"):
            emb.recommend("ann", **filters)
    with pytest.raises(EmbedkitError, match=r"named by a string, not by 7: convert it with str\(\)"):
        emb.recommend([7])
    with pytest.raises(EmbedkitError, match=r"named by a string, not by 7: convert it with str\(\)"):
        emb.most_similar(7)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_found_in_either_normal_form(form):
    names = [unicodedata.normalize(form, name) for name in ("café", "한국어")]
    emb = Embeddings(names, np.eye(2, dtype=np.float32))
    for other in ("NFC", "NFD"):
        assert emb[unicodedata.normalize(other, "한국어")].tolist() == [0, 1]
        assert emb.most_similar(unicodedata.normalize(other, "café"))[0][0] == names[1]
        assert unicodedata.normalize(other, "café") in emb
    assert "cafè" not in emb
    with pytest.raises(UnknownNameError):
        emb["cafè"]


def test_two_normal_forms_of_one_name_stay_two():
    emb = Embeddings(["caf\u00e9", "cafe\u0301"], np.eye(2, dtype=np.float32))
    assert emb["caf\u00e9"].tolist() == [1, 0]
    assert emb["cafe\u0301"].tolist() == [0, 1]


# Recommendations


def test_one_is_a_list_of_pairs_and_many_a_table(emb):
    one = emb.recommend("ann", topn=2)
    assert one == [("eggs", 5.0), ("beer", 1.5)]
    assert [type(x) for x in one[0]] == [str, float]
    table = emb.recommend(["beer", "ann"], topn=1)
    assert table.to_dict("list") == {"key": ["beer", "ann"], "token": ["cheese", "eggs"], "score": [1.0, 5.0]}
    assert emb.recommend([]).columns.tolist() == ["key", "token", "score"]


def test_keys_and_tokens_live_apart(emb):
    assert emb.recommend("beer", topn=1) == [("cheese", 1.0)]
    assert emb.recommend(history=["beer"], topn=1) == [("cheese", 1.0)]
    assert emb.key_vector("beer").tolist() == [0, 1]
    assert emb.recommend("-dee", topn=1) == [("apple, red", 0.0)]


def test_filters_and_topn(emb):
    assert len(emb.recommend("ann", topn=100)) == 3
    assert len(emb.recommend("ann", topn=100, include_seen=True)) == 5
    assert emb.recommend("ann", exclude="eggs", topn=1) == [("beer", 1.5)]
    assert emb.recommend("ann", only=["dates", "apple, red"]) == [("dates", 0.0)]
    assert emb.recommend("ann", only="apple, red") == []
    assert emb.recommend("ann", only=[]) == []
    for topn in (0, -1, 1.5, True, "3"):
        with pytest.raises(OptionError, match="topn must be a whole number of at least 1"):
            emb.recommend("ann", topn=topn)
    with pytest.raises(OptionError, match="topn"):
        emb.most_similar("beer", topn=0)


def test_histories_given(emb):
    assert emb.recommend(history="beer", topn=1) == emb.recommend(history=["beer"], topn=1)
    weighted = emb.recommend(history={"apple, red": 3.0, "beer": 1.0}, topn=1)
    assert weighted == [("eggs", 3.75)]
    for weight in (0, -1, float("nan"), float("inf")):
        with pytest.raises(EmbedkitError, match="positive finite"):
            emb.recommend(history={"beer": weight})
    with pytest.raises(EmbedkitError, match="the history is empty"):
        emb.recommend(history=[])
    assert emb.recommend(history=[], fallback="popular", topn=1) == [("beer", 9.0)]
    with pytest.raises(EmbedkitError, match="one of the two"):
        emb.recommend("ann", history=["beer"])
    with pytest.raises(EmbedkitError, match="one of the two"):
        emb.recommend()


def test_fallback(emb):
    with pytest.raises(EmbedkitError, match="key 'cy' has no history to go by"):
        emb.recommend("cy")
    popular = [("beer", 9.0), ("cheese", 9.0)]
    assert emb.recommend("cy", topn=2, fallback="popular") == popular
    assert emb.recommend("nobody", topn=2, fallback="popular") == popular
    assert emb.without_query(["ann", "cy", "nobody"]) == ["cy", "nobody"]
    assert emb.without_query("ann") == []
    table = emb.recommend(["cy", "ann"], topn=1, fallback="popular")
    assert table["token"].tolist() == ["beer", "eggs"]
    with pytest.raises(OptionError, match="fallback must be 'popular' or None; got 'random'"):
        emb.recommend("ann", fallback="random")
    with pytest.raises(EmbedkitError, match="does not know how often"):
        make(counts=None).recommend("cy", fallback="popular")


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_all_keys_in_blocks(emb, batch):
    blocks = list(emb.recommend_all(topn=2, batch=batch))
    assert [key for block in blocks for key in block.queries] == KEYS
    assert [key for block in blocks for key in block.unanswered] == ["cy"]
    rows = [row for block in blocks for row in block.to_arrow().to_pylist()]
    expected = emb.recommend(["ann", "beer", "-dee"], topn=2)
    assert [tuple(row.values()) for row in rows] == list(expected.itertuples(index=False, name=None))


def test_many_keys_are_answered_in_parts(emb, monkeypatch):
    whole = emb.recommend(["ann", "beer", "-dee"])
    monkeypatch.setattr(recommending, "BATCH", 2)
    assert emb.recommend(["ann", "beer", "-dee"]).equals(whole)


def test_learned_key_vectors_come_before_histories():
    emb = make(key_vectors=np.array([[0, 1], [1, 0], [1, 0], [1, 1]], np.float32))
    assert emb.recommend("ann", topn=1) == [("beer", 3.0)]
    assert emb.recommend("cy", topn=1) == [("eggs", 5.0)]
    with pytest.raises(EmbedkitError, match="was learned, not built"):
        emb.explain("ann", "beer")


def test_models_without_keys():
    emb = Embeddings(TOKENS, VECTORS)
    assert emb.recommend(history=["beer"], topn=1) == [("cheese", 1.0)]
    for ask in (lambda: emb.recommend("ann"), lambda: emb.similar_keys("ann"), lambda: emb.recommend_all()):
        with pytest.raises(EmbedkitError, match="this model has no keys"):
            ask()
    with pytest.raises(EmbedkitError, match="neither vectors nor histories"):
        Embeddings(TOKENS, VECTORS, keys=["ann"]).recommend("ann")


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(EmbedkitError, match="not finite"):
        make(context_vectors=np.full((5, 2), np.nan, np.float32)).recommend("ann")


# Query builders


def test_a_query_builder_that_is_not_there_is_named():
    with pytest.raises(UnknownNameError, match="no query builder 'no-such'"):
        make(query="no-such").recommend("ann")


def test_a_query_builder_of_the_wrong_shape(monkeypatch):
    monkeypatch.setitem(recommending.queries.BUILT_IN, "odd", lambda history, context: np.ones(3))
    with pytest.raises(EmbedkitError, match="'odd' gave float64 of shape"):
        make(query="odd").recommend("ann")
    assert not issubclass(PluginError, UnknownNameError)


def test_explanations_sum_to_the_score(emb):
    found = emb.explain("ann", "eggs")
    assert (found.item, found.exact) == ("eggs", True)
    assert found.parts == [("apple, red", 2.5), ("cheese", 2.5)]
    assert found.score == sum(amount for _, amount in found.parts) + found.rest == dict(emb.recommend("ann"))["eggs"]
    short = emb.explain(history={"beer": 1, "apple, red": 3}, item="eggs", topn=1)
    assert (short.parts, short.rest) == ([("apple, red", 3.75)], 0.0)
    with pytest.raises(EmbedkitError, match="one of the two"):
        emb.explain(item="eggs")


def test_explanations_of_other_builders_leave_one_out(monkeypatch):
    def last(history, context):
        rows = [context.vectors[ids[-1]] if len(ids) else np.zeros(2) for ids in history]
        return np.array(rows, np.float32)

    monkeypatch.setitem(recommending.queries.BUILT_IN, "last", last)
    found = make(query="last").explain("ann", "apple, red")
    assert not found.exact
    assert (found.score, found.parts) == (2.0, [("apple, red", 0.0), ("cheese", 0.0)])
    assert make(query="last").explain("ann", "beer").parts == [("cheese", 3.0), ("apple, red", 0.0)]


# Similarity


def test_most_similar(emb):
    found = emb.most_similar("cheese", topn=2)
    assert [token for token, _ in found] == ["apple, red", "beer"]
    assert found[0][1] == pytest.approx(0.5**0.5)
    table = emb.most_similar(["cheese", "beer"], topn=1, exclude="apple, red")
    assert table.columns.tolist() == ["query", "token", "score"]
    assert table["token"].tolist() == ["beer", "cheese"]
    assert emb.most_similar(emb["cheese"], topn=1)[0][0] == "cheese"
    assert emb.most_similar("cheese", only=["dates"]) == [("dates", pytest.approx(-(0.5**0.5)))]
    assert {score for _, score in emb.most_similar("eggs")} == {0.0}


def test_similar_keys(emb):
    assert emb.similar_keys("ann", topn=1) == [("beer", pytest.approx(0.2**0.5))]
    table = emb.similar_keys(["ann", "beer"], topn=1)
    assert table[["query", "key"]].values.tolist() == [["ann", "beer"], ["beer", "ann"]]


def test_similarity(emb):
    assert emb.similarity("cheese", "beer") == pytest.approx(0.5**0.5)
    assert emb.similarity("cheese", "beer", "dot") == 1.0
    assert emb.similarity("apple, red", "beer", "euclidean") == pytest.approx(2**0.5)
    assert emb.similarity(["cheese", "eggs"], ["cheese", "beer"]).tolist() == [pytest.approx(1), 0]
    with pytest.raises(EmbedkitError, match="2 tokens cannot be paired with 1"):
        emb.similarity(["cheese", "eggs"], "beer")


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_analogy(method):
    words = ["man", "woman", "king", "queen", "pear"]
    vectors = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1], [0, -1, -1]], np.float32)
    found = Embeddings(words, vectors).analogy("man", "king", "woman", topn=2, method=method)
    assert [word for word, _ in found] == ["queen", "pear"]


def test_one_key_needs_no_heavy_import(emb, tmp_path):
    path = tmp_path / "model.safetensors"
    emb.save(path)
    script = (
        "import sys, embedkit; emb = embedkit.load(sys.argv[1]); print(emb.recommend('ann', topn=1));"
        "print([m for m in ('pandas', 'pyarrow', 'numba', 'scipy', 'duckdb', 'click') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[('eggs', 5.0)]", "[]"]
    assert embedkit.Embeddings is Embeddings
