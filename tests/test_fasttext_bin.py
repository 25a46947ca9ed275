"""Reading fastText's binary models: written by its format's description, and by its package where it is."""

import struct

import numpy as np
import pytest
from fasttext_files import drawn, model_bytes

import embedkit
from embedkit import ModelError
from embedkit.embeddings.fasttext_bin import read_bin
from embedkit.embeddings.ngrams import Ngrams

WORDS = ["</s>", "walk", "walking", "보행"]


def written(tmp_path, data):
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    return path


def test_words_are_the_mean_of_their_subwords(tmp_path):
    inputs, outputs = drawn(54, 3), drawn(4, 3, seed=1)
    emb = read_bin(written(tmp_path, model_bytes(WORDS, inputs, outputs, counts=[9, 5, 2**40, 1])))
    ngrams = Ngrams(3, 6, 50)
    assert list(emb.tokens) == WORDS
    assert emb.counts.tolist() == [9, 5, 2**40, 1]
    assert np.array_equal(emb["</s>"], inputs[0])
    for row, word in enumerate(WORDS[1:], 1):
        rows = [row, *(4 + bucket for bucket in ngrams.of(word))]
        assert emb[word] == pytest.approx(inputs[rows].mean(axis=0), abs=1e-6)
    unseen = [4 + bucket for bucket in ngrams.of("walks")]
    assert emb["walks"] == pytest.approx(inputs[unseen].mean(axis=0), abs=1e-6)
    assert np.array_equal(emb.context_vectors, outputs)
    assert emb.config["fasttext"]["model"] == "skipgram"


def test_a_model_that_was_read_can_be_saved(tmp_path):
    emb = read_bin(written(tmp_path, model_bytes(WORDS, drawn(54, 3), drawn(4, 3))))
    emb.save(tmp_path / "model.safetensors")
    loaded = embedkit.load(tmp_path / "model.safetensors")
    assert np.array_equal(loaded["walked"], emb["walked"])
    assert loaded.similarity("walked", "walk") == emb.similarity("walked", "walk")


def test_a_model_without_ngrams_has_no_subwords(tmp_path):
    inputs = drawn(4, 3)
    emb = read_bin(written(tmp_path, model_bytes(WORDS, inputs, drawn(4, 3), bucket=0, minn=0, maxn=0)))
    assert np.array_equal(emb.vectors, inputs)
    assert emb.subwords is None


def test_labels_of_a_supervised_model_are_passed_over(tmp_path):
    data = model_bytes(WORDS, drawn(54, 3), drawn(2, 3), labels=["__label__a", "__label__b"], model=3, loss=3)
    emb = read_bin(written(tmp_path, data))
    assert list(emb.tokens) == WORDS
    assert emb.context_vectors is None


def test_inner_nodes_of_a_tree_are_no_context_vectors(tmp_path):
    assert read_bin(written(tmp_path, model_bytes(WORDS, drawn(54, 3), drawn(4, 3), loss=1))).context_vectors is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"magic": 7}, "does not begin like one"),
        ({"version": 13}, "of version 13"),
        ({"quantized": True}, "is quantized"),
        ({"pruned": 0}, "is pruned"),
        ({"dim": 4}, "are no vectors of 4 words"),
        ({"bucket": 51}, "are no vectors of 4 words"),
        ({"bucket": -1}, "settings of n-grams are none"),
        ({"minn": 7}, "settings of n-grams are none"),
        ({"loss": 9}, "settings are none"),
        ({"counts": [1, 1, -1, 1]}, "list of words is none"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(tmp_path, changes, said):
    path = written(tmp_path, model_bytes(WORDS, drawn(54, 3), drawn(4, 3), **changes))
    with pytest.raises(ModelError, match=said) as caught:
        read_bin(path)
    assert "\n" not in str(caught.value)


def test_every_truncation_is_refused(tmp_path):
    data = model_bytes(WORDS, drawn(54, 3), drawn(4, 3))
    for length in [*range(200), *range(200, len(data), 37)]:
        with pytest.raises(ModelError):
            read_bin(written(tmp_path, data[:length]))


@pytest.mark.parametrize("field", [64, 68, 72])
@pytest.mark.parametrize("value", [-1, 2**31 - 1])
def test_sizes_that_lie_are_refused_before_they_are_believed(tmp_path, field, value):
    data = bytearray(model_bytes(WORDS, drawn(54, 3), drawn(4, 3)))
    data[field : field + 4] = struct.pack("<i", value)
    with pytest.raises(ModelError, match="number of words is none"):
        read_bin(written(tmp_path, bytes(data)))


@pytest.mark.parametrize("rows", [-1, 2**62, 2**40])
def test_matrices_that_lie_are_refused_before_they_are_believed(tmp_path, rows):
    data = model_bytes(WORDS, drawn(54, 3), drawn(4, 3))
    place = data.index(struct.pack("<?qq", False, 54, 3)) + 1
    with pytest.raises(ModelError, match="damaged"):
        read_bin(written(tmp_path, data[:place] + struct.pack("<q", rows) + data[place + 8 :]))


def test_words_that_are_no_text_are_refused(tmp_path):
    data = model_bytes(WORDS, drawn(54, 3), drawn(4, 3)).replace(b"walking\0", b"walk\xffng\0")
    with pytest.raises(ModelError, match=r"row 3 .* is not valid UTF-8"):
        read_bin(written(tmp_path, data))


def test_the_package_fasttext_gives_the_same_vectors(tmp_path):
    fasttext = pytest.importorskip("fasttext")
    text = tmp_path / "text.txt"
    text.write_text("naïve words and 한국어 words again\n" * 30, encoding="utf-8")
    # Each thread of fastText 0.9.3 draws a tenth of the table; what nobody draws stays as the memory was.
    for architecture, loss in (("skipgram", "ns"), ("cbow", "hs")):
        model = fasttext.train_unsupervised(
            str(text), model=architecture, loss=loss, dim=10, bucket=300, minCount=1, epoch=2, thread=10, verbose=0
        )
        model.save_model(str(tmp_path / "package.bin"))
        emb = read_bin(tmp_path / "package.bin")
        assert list(emb.tokens) == model.get_words()
        for word in [*emb.tokens, "unseen", "naïvely", "한국말"]:
            assert emb[word] == pytest.approx(model.get_word_vector(word), abs=1e-6)
