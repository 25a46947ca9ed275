"""Recency: what each token of a history counts of the one after it, for every query builder alike."""

import numpy as np
import pytest
from checkerboard import checkerboard
from click.testing import CliRunner
from test_spectral import corpus_of, likes

import embedkit
from embedkit import Corpus, Embeddings, EmbedkitError, OptionError, Sentence
from embedkit.cli.app import app
from embedkit.contracts import History


def model(config=None):
    """Return four tokens along the axes of space, and two keys."""
    histories = History(np.array([0, 3, 5]), np.array([0, 1, 2, 3, 0], np.int32))
    return Embeddings(
        ["a", "b", "c", "d"], np.eye(4, dtype=np.float32), keys=["u", "v"], histories=histories, config=config
    )


def scores(emb, *asked, **options):
    return dict(emb.recommend(*asked, topn=99, include_seen=True, **options))


def test_each_token_counts_that_much_of_the_one_after_it():
    made = scores(model(), history=["a", "b", "c"], recency=0.5)
    assert made == pytest.approx({"a": 1 / 7, "b": 2 / 7, "c": 4 / 7, "d": 0})
    assert made == pytest.approx(scores(model(), "u", recency=0.5))


def test_it_multiplies_the_weights_that_are_given():
    made = scores(model(), history={"a": 4.0, "b": 1.0}, recency=0.5)
    assert made == pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 0, "d": 0})


def test_the_models_own_recency_holds_unless_another_is_given():
    own = model({"recency": 0.5})
    assert scores(own, "u") == scores(model(), "u", recency=0.5)
    assert scores(own, "u", recency=1) == scores(model(), "u")
    assert scores(own, "u", recency=0.25) == scores(model(), "u", recency=0.25)


def test_many_keys_and_all_keys_get_the_same():
    one = [model().recommend(key, topn=4, include_seen=True, recency=0.5) for key in ("u", "v")]
    frame = model().recommend(["u", "v"], topn=4, include_seen=True, recency=0.5)
    assert frame["score"].tolist() == [score for pairs in one for _, score in pairs]
    (block,) = model().recommend_all(topn=4, include_seen=True, recency=0.5)
    assert block.scores.ravel().tolist() == frame["score"].tolist()


def test_explanations_add_up():
    reasons = model().explain("u", "a", recency=0.5)
    assert reasons.score == pytest.approx(1 / 7)
    assert dict(reasons.parts) == pytest.approx({"a": 1 / 7, "b": 0, "c": 0})


@pytest.mark.parametrize("trainer", ["spectral", "als", "contrastive"])
def test_every_trainers_queries_take_it(trainer):
    emb = embedkit.train(corpus_of(*likes()), trainer, vector_size=8)
    history = [f"t{i}" for i in (1, 2, 3, 4)]
    latest = scores(emb, history=history[-1:])
    assert scores(emb, history=history, recency=1e-7) == pytest.approx(latest, rel=1e-3, abs=1e-4)
    assert scores(emb, history=history, recency=1) != pytest.approx(latest, rel=1e-3, abs=1e-4)


def test_a_learned_key_vector_gives_way_to_the_history():
    emb = embedkit.train(checkerboard(), "als", vector_size=4)
    history = emb.tokens[emb.histories.take([3]).indices]
    assert scores(emb, "user3", recency=0.5) == pytest.approx(scores(emb, history=history, recency=0.5))
    assert scores(emb, "user3", recency=0.5) != pytest.approx(scores(emb, "user3"))
    assert emb.explain("user3", "item1", recency=0.5).parts
    with pytest.raises(EmbedkitError, match="was learned"):
        emb.explain("user3", "item1")


def test_a_model_without_histories_says_so():
    emb = Embeddings(["a"], np.eye(1, dtype=np.float32), keys=["u"], key_vectors=np.eye(1, dtype=np.float32))
    with pytest.raises(EmbedkitError, match="holds no histories of keys"):
        emb.recommend("u", recency=0.5)


def test_ratings_are_no_weights():
    sentences = [Sentence([f"t{i}" for i in range(4)], key=f"u{u}", weights=[1.0, 2, 3, 4]) for u in range(3)]
    emb = embedkit.train(Corpus.from_sentences(sentences), "als", loss="explicit", vector_size=4)
    with pytest.raises(EmbedkitError, match="ratings"):
        emb.recommend(history=["t1", "t2"], recency=0.5)


@pytest.mark.parametrize("recency", [0, -1, 1.5, float("nan"), "much", True])
def test_what_is_no_recency_is_refused(recency):
    for ask in (model().recommend, lambda key, recency: list(model().recommend_all(recency=recency))):
        with pytest.raises(OptionError, match="recency must be a number above 0 and at most 1"):
            ask("u", recency=recency)
    with pytest.raises(OptionError, match="recency must"):
        model().explain("u", "a", recency=recency)


def test_the_flag(tmp_path):
    path = tmp_path / "model.safetensors"
    model().save(path)

    def ask(*arguments):
        done = CliRunner().invoke(app, ["recommend", "--model", str(path), "--include-seen", *arguments])
        return done.exit_code, done.output

    code, output = ask("--item", "a", "--item", "b", "--recency", "0.5", "--topn", "1", "--format", "csv")
    assert code == 0
    assert "b,0.666" in output
    code, output = ask("u", "--recency", "0.5", "--topn", "1", "--explain")
    assert code == 0
    assert "c   0.57" in output
    code, output = ask("u", "--recency", "2")
    assert code != 0
    assert "recency must be a number above 0" in str(output)
