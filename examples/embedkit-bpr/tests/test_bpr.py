"""How a trainer is tested: the real plugin manager, and data whose right answer is known."""

import numpy as np
import pytest
from embedkit_bpr import BPR

import embedkit
from embedkit.plugins import load_plugins


@pytest.fixture
def checkerboard():
    """Twenty users and twenty items: even users have met even items, odd ones odd items, but for one of them each."""
    return embedkit.Corpus.from_sentences(
        [
            embedkit.Sentence([f"item{i}" for i in range(user % 2, 20, 2) if i != user], key=f"user{user}")
            for user in range(20)
        ]
    )


def test_the_installed_plugin_is_found():
    plugins = load_plugins()
    assert plugins.trainers["bpr"] is BPR
    assert not plugins.problems


def test_what_was_left_out_is_recommended_first(checkerboard):
    emb = embedkit.train(checkerboard, "bpr", vector_size=8, epochs=200)
    assert all(emb.recommend(key, topn=1)[0][0] == key.replace("user", "item") for key in emb.keys)


def test_the_loss_begins_at_ln_2_and_falls(checkerboard):
    losses = embedkit.train(checkerboard, "bpr", vector_size=8, epochs=100).losses
    assert losses[0] == pytest.approx(np.log(2), abs=0.05)
    assert losses[-1] < losses[0] / 2


def test_a_seed_repeats_and_another_does_not(checkerboard):
    one, same, other = (embedkit.train(checkerboard, "bpr", epochs=2, seed=seed) for seed in (1, 1, 2))
    assert (one.vectors == same.vectors).all()
    assert (one.vectors != other.vectors).any()


def test_sentences_of_nobody_have_no_key_vectors():
    emb = embedkit.train(embedkit.Corpus.from_sentences([["a", "b"], ["c", "d"]]), "bpr", epochs=1)
    assert emb.key_vectors is None
    assert len(emb.recommend(history=["a"], topn=2)) == 2


def test_it_stops_when_it_is_told_to(checkerboard):
    stopping = embedkit.EarlyStopping("loss", patience=1)
    assert len(embedkit.train(checkerboard, "bpr", epochs=500, alpha=2.0, early_stopping=stopping).losses) < 500
