"""fastText as a trainer, and what its models answer about words that were never seen."""

import math
import unicodedata

import numpy as np
import pytest
from checkerboard import checkerboard, misses

import embedkit
from embedkit import Corpus, EmbedkitError, OptionError, UnknownNameError
from embedkit.embeddings.ngrams import Ngrams
from embedkit.trainers.sampling.subword_rows import SubwordRows

ARCHITECTURES = pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
STEMS = ("sing", "walk", "paint", "cook")


def verbs(n=400, seed=0):
    """Return sentences about one verb each: its forms, all but `walker`, among words that go with it."""
    rng = np.random.default_rng(seed)
    sentences = []
    for number in rng.integers(0, len(STEMS), n):
        stem = STEMS[number]
        forms = [stem, f"{stem}s", f"{stem}ed", f"{stem}ing"] + ([] if stem == "walk" else [f"{stem}er"])
        around = [f"{letter}{number}{letter}" for letter in "abc"]
        sentences.append([str(word) for word in rng.permutation([*rng.choice(forms, 2), *around])])
    return Corpus.from_sentences(sentences)


@pytest.fixture(scope="module")
def model():
    return embedkit.train(verbs(), "fasttext", vector_size=16, epochs=20, sample=0, seed=3)


@ARCHITECTURES
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", range(2, 9))
def test_the_checkerboard_is_filled(architecture, seed, size):
    emb = embedkit.train(
        checkerboard(seed), "fasttext", architecture=architecture, vector_size=size, window="sentence", epochs=100,
        alpha=0.1, sample=0, seed=seed,
    )  # fmt: skip
    assert misses(emb) == []


@ARCHITECTURES
def test_the_true_loss_of_each_epoch_is_kept_and_falls(architecture):
    emb = embedkit.train(verbs(), "fasttext", architecture=architecture, vector_size=8, epochs=20, alpha=0.1, sample=0)
    assert len(emb.losses) == 20
    # Untrained vectors score 0 with everything: log 2 for the pair and for each of five noise tokens.
    assert emb.losses[0] < 6 * math.log(2) + 0.01
    assert emb.losses[-1] < 0.7 * emb.losses[0]


@ARCHITECTURES
def test_one_worker_and_one_seed_give_the_same_bits(architecture):
    options = {"architecture": architecture, "vector_size": 10, "epochs": 2, "workers": 1}
    first, second, other = (embedkit.train(verbs(), "fasttext", **options, seed=seed) for seed in (7, 7, 8))
    for name in ("vectors", "context_vectors"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert np.array_equal(first.arrays["subword_vectors"], second.arrays["subword_vectors"])
    assert not np.array_equal(first.vectors, other.vectors)


def test_several_workers_learn_too():
    emb = embedkit.train(verbs(), "fasttext", vector_size=16, epochs=20, sample=0, workers=3)
    assert emb.similarity("sing", "singing") > emb.similarity("sing", "cooking")


def test_a_stopped_run_returns_what_there_is_and_snapshots_are_whole():
    class Impatient(embedkit.Run):
        def epoch_done(self, loss, snapshot):
            self.snapshot = snapshot()
            return False

    run = Impatient()
    emb = embedkit.train(verbs(), "fasttext", run=run, vector_size=4, epochs=9, workers=1)
    assert len(emb.losses) == 1
    assert np.array_equal(run.snapshot.vectors, emb.vectors)
    assert np.array_equal(run.snapshot["walker"], emb["walker"])


def test_an_unseen_word_is_near_its_other_forms(model):
    assert "walker" not in model
    found = [token for token, _ in model.most_similar("walker", topn=4)]
    assert set(found) == {"walk", "walks", "walked", "walking"}
    assert model.similarity("walker", "walk") > model.similarity("walker", "sing")
    assert model.similarity(["walker", "sing"], ["walk", "sings"]).shape == (2,)


def test_an_unseen_word_is_the_sum_of_its_known_ngrams_over_the_root_of_their_number(model):
    table, buckets = model.arrays["subword_vectors"], model.arrays["subword_buckets"].tolist()
    known = [buckets.index(bucket) for bucket in Ngrams(3, 6, 2_000_000).of("walker") if bucket in buckets]
    assert len(known) > 5
    assert model["walker"] == pytest.approx(table[known].sum(axis=0) / math.sqrt(len(known)), rel=1e-5)
    assert model[["walker", "walk"]][1] == pytest.approx(model["walk"])


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_analogies_take_unseen_words(model, method):
    found = [token for token, _ in model.analogy("sing", "singing", "walkers", topn=3, method=method)]
    assert found
    assert not {"sing", "singing", "walkers"} & set(found)
    seen = [token for token, _ in model.analogy("sing", "singer", "walk", topn=3, method=method)]
    assert not {"sing", "singer", "walk"} & set(seen)


def test_many_unseen_words_at_once_leave_themselves_out_where_they_are_tokens(model):
    frame = model.most_similar(["walker", "walk"], topn=30)
    assert list(frame["query"].unique()) == ["walker", "walk"]
    assert "walk" in set(frame["token"][frame["query"] == "walker"])
    assert "walk" not in set(frame["token"][frame["query"] == "walk"])


@pytest.mark.parametrize("word", ["", "qqq", "한국어"])
def test_a_word_without_any_known_ngram_is_refused(model, word):
    with pytest.raises(UnknownNameError, match="Nor is any of its character n-grams known"):
        _ = model[word]


def test_the_table_of_ngrams_goes_with_the_file(model, tmp_path):
    path = tmp_path / "verbs.safetensors"
    model.save(path)
    assert np.array_equal(embedkit.load(path)["walker"], model["walker"])


def test_a_damaged_table_of_ngrams_is_refused(model):
    config = {"subwords": {**model.config["subwords"], "n_buckets": "many"}}
    emb = embedkit.Embeddings(model.tokens, model.vectors, arrays=model.arrays, config=config)
    assert emb["walk"] == pytest.approx(model["walk"])
    with pytest.raises(EmbedkitError, match="table of n-grams is damaged"):
        _ = emb["walker"]


def test_hangul_shares_letters_with_jamo_alone():
    corpus = Corpus.from_sentences([["값이", "비싸다"], ["값을", "내다"]] * 10)
    plain, jamo = (embedkit.train(corpus, "fasttext", vector_size=4, epochs=1, jamo=j) for j in (False, True))
    with pytest.raises(UnknownNameError):
        _ = plain["갑"]
    assert np.isfinite(jamo["갑"]).all()
    assert np.array_equal(jamo["갑"], jamo[unicodedata.normalize("NFD", "갑")])


def test_a_name_in_another_normal_form_is_built_alike():
    emb = embedkit.train(Corpus.from_sentences([["café", "crème"]] * 10), "fasttext", vector_size=4, epochs=1)
    decomposed = "cafe\N{COMBINING ACUTE ACCENT}s"
    assert Ngrams(3, 6, 2_000_000).of(decomposed) != Ngrams(3, 6, 2_000_000).of("cafés")
    assert np.array_equal(emb[decomposed], emb["cafés"])


def test_rows_are_those_that_occur_and_the_most_met_come_first():
    tokens = Corpus.from_sentences([["abab", "ab"]]).tokens
    ngrams = Ngrams(2, 3, 1000)
    made = SubwordRows.of(tokens, ngrams, np.array([1.0, 5.0]))
    hashed = {word: ngrams.of(word) for word in tokens}
    assert made.buckets.tolist() == sorted({bucket for buckets in hashed.values() for bucket in buckets})
    assert len(made) == 2 + len(made.buckets)
    row_of = dict(zip(made.buckets.tolist(), made.bucket_rows.tolist(), strict=True))
    for token, word in enumerate(tokens):
        rows = made.rows[made.indptr[token] : made.indptr[token + 1]].tolist()
        assert rows[1:] == [row_of[bucket] for bucket in hashed[word]]
        assert rows[0] not in row_of.values()
    # `ab` stands once in one and twice in the other of the words: no row is met more often.
    assert row_of[Ngrams(2, 2, 1000).of("ab")[1]] == 0


def test_overlap_is_the_mean_of_what_tokens_have_in_common():
    tokens = Corpus.from_sentences([["aa", "ab", "cd"]]).tokens
    shares = np.array([0.5, 0.3, 0.2])
    made = SubwordRows.of(tokens, Ngrams(2, 2, 10**9), shares)
    vectors = np.zeros((3, len(made)))
    for token in range(3):
        rows = made.rows[made.indptr[token] : made.indptr[token + 1]]
        np.add.at(vectors[token], rows, 1 / math.sqrt(len(rows)))
    assert made.overlap(shares) == pytest.approx(shares @ (vectors @ vectors.T) @ shares)


def test_sentences_of_one_token_teach_nothing_and_say_so():
    with pytest.raises(EmbedkitError, match="every sentence has a single token"):
        embedkit.train(Corpus.from_sentences([["a"], ["b"]]), "fasttext")


def test_vectors_that_diverge_are_refused_with_the_remedy():
    with pytest.raises(EmbedkitError, match="lower --alpha"):
        embedkit.train(verbs(40), "fasttext", vector_size=4, alpha=100, min_alpha=100, epochs=100, negative=200)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("min_n", 0),
        ("min_n", 7),
        ("max_n", 0),
        ("bucket", 0),
        ("architecture", "glove"),
        ("jamo", "perhaps"),
        ("alpha", 0),
    ],
)
def test_options_out_of_range_are_refused_by_name(option, value):
    with pytest.raises(OptionError, match=f"^{option} must"):
        embedkit.train(Corpus.from_sentences([["a", "b"]]), "fasttext", **{option: value})
