"""What holds the rows of a growing model back, where its vectors are put, and what stays as it was chosen."""

import numpy as np
import pytest

import embedkit
from embedkit import Corpus, Names, Sentence
from embedkit.trainers.machinery.growth import Known, Tether, anchors


def test_known_names_are_found_and_their_rows_put_into_place():
    known = Known.of(Names.from_strings(["new", "b", "a"]), Names.from_strings(["a", "x", "b"]))
    assert known.now.tolist() == [1, 2]
    assert known.before.tolist() == [2, 0]
    table = np.zeros((3, 4), np.float32)
    known.put(table, np.array([[1, 1], [2, 2], [3, 3]], np.float32))
    assert table.tolist() == [[0, 0, 0, 0], [3, 3, 0, 0], [1, 1, 0, 0]]
    assert len(Known.of(Names.from_strings(["a"]), None).now) == 0


@pytest.mark.parametrize("shape", [(3, 2), (3,)])
def test_rows_go_their_share_of_each_epochs_way(shape):
    table = np.ones(shape, np.float32)
    tether = Tether(table, np.array([0, 2]), np.array([0.5, 0.0], np.float32))
    for expected in (3.0, 5.0):
        table += 4
        tether.pull()
        assert (table[0] == expected).all()
        assert (table[2] == 1).all()
    assert (table[1] == 9).all()
    assert (anchors([tether])["anchor0"] == table[[0, 2]]).all()


def test_what_is_free_is_not_remembered():
    table = np.ones((2, 2), np.float32)
    tether = Tether(table, np.array([0, 1]), 1.0)
    table += 1
    tether.pull()
    assert (table == 2).all()
    assert anchors([tether]) == {}


def test_contrastive_goes_on_with_the_target_that_it_had():
    owned = [Sentence([f"i{(k + n) % 9}" for n in range(6)], key=f"k{k}", times=range(6)) for k in range(30)]
    nobodys = [Sentence([f"i{(k + n) % 9}" for n in range(6)], times=range(6)) for k in range(30)]
    base = embedkit.train(Corpus.from_sentences(nobodys), "contrastive", vector_size=4)
    grown = embedkit.update(base, Corpus.from_sentences(owned))
    for name in ("target", "recency", "repeats"):
        assert grown.config[name] == base.config[name]
    assert embedkit.train(Corpus.from_sentences(owned), "contrastive", vector_size=4).config["recency"] == 1
    assert base.config["recency"] == 0.5
