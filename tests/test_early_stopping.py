"""Early stopping keeps the best epoch's vectors, says what it did, and refuses what does not apply."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import embedkit
from embedkit import (
    Corpus,
    EarlyStopping,
    Embeddings,
    EmbedkitError,
    OptionError,
    Run,
    Sentence,
    SourceError,
    Validation,
)
from embedkit.evaluation import Measure, evaluate
from embedkit.evaluation.heldout import HeldOut
from embedkit.evaluation.stopping import with_histories

DAY = 86_400_000_000


class Teller(Run):
    """Keeps what it is told."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def say(self, message):
        self.lines.append(message)


def groups(n_keys=40, times=False):
    """Keys of two kinds, who have eight of the ten tokens of their kind."""
    rng = np.random.default_rng(3)
    sentences = []
    for key in range(n_keys):
        tokens = [f"t{key % 2}{i}" for i in rng.permutation(10)[:8]]
        sentences.append(Sentence(tokens, f"k{key}", times=[i * DAY for i in range(8)] if times else None))
    return Corpus.from_sentences(sentences)


def scripted(values):
    """A trainer whose epochs have the given quality: the tokens of a kind point the same way, or the opposite one."""

    class Scripted(embedkit.Trainer):
        """Follows a script."""

        name = "scripted"
        corpora = []

        @dataclass(frozen=True)
        class Options:
            epochs: int = embedkit.option(10, "Passes.", minimum=1)

        def train(self, corpus, options, run):
            self.corpora.append((corpus, options.epochs))
            losses = []

            def snapshot():
                return self.made(corpus, values[len(losses) - 1], losses)

            for epoch in range(options.epochs):
                losses.append(1.0 / (epoch + 1))
                if not run.epoch_done(losses[-1], snapshot):
                    break
            return snapshot()

        def made(self, corpus, quality, losses):
            rng = np.random.default_rng(0)
            signs = np.array([[1, 0] if token[1] == "0" else [0, 1] for token in corpus.tokens], np.float32)
            noise = rng.standard_normal(signs.shape).astype(np.float32)
            vectors = quality * signs + (1 - quality) * noise
            return Embeddings.from_corpus(corpus, vectors, losses=losses)

    return Scripted


def learn_with(trainer, options=None):
    options = options or trainer.Options()

    def learn(corpus, run, epochs=None):
        return trainer().train(corpus, options if epochs is None else replace(options, epochs=epochs), run)

    return learn


def test_the_best_epoch_is_kept_and_the_rest_not_run():
    run = Teller()
    trainer = scripted([0.0, 0.5, 1.0, 0.1, 0.2, 0.3, 1.0, 1.0, 1.0, 1.0])
    stopping = EarlyStopping("ndcg@5", patience=3)
    emb = stopping.train(groups(), learn_with(trainer), run, 10)
    noted = emb.config["early_stopping"]
    assert (noted["best_epoch"], noted["epochs"], noted["retrained"]) == (3, 6, False)
    assert len(emb.losses) == 3
    np.testing.assert_array_equal(np.unique(emb.vectors), [0, 1])
    assert run.lines[0].startswith("Validation random: 280 tokens to learn from, 40 held out")
    assert [line.partition(":")[0] for line in run.lines[1:7]] == [f"Epoch {i} of 10" for i in range(1, 7)]
    assert run.lines[3].endswith(", best so far")
    assert run.lines[7] == f"Best epoch 3 of 6: ndcg@5 {noted['value']:.4f}."
    assert "learned without the 40 tokens held out; histories are whole" in run.lines[8]


def test_the_value_is_that_of_the_evaluation_of_the_part_held_out():
    corpus, validation = groups(), Validation("random", share=0.3, seed=5)
    trainer = scripted([0.4, 0.2])
    emb = EarlyStopping("recall@3", validation=validation).train(
        corpus, learn_with(trainer, trainer.Options(1)), Run(), 1
    )
    parts = embedkit.evaluation.random(corpus, 0.3, 5)
    again = trainer().made(parts.train, 0.4, [])
    assert emb.config["early_stopping"]["value"] == evaluate(again, parts.test, 3)["recall@3"]


def test_queries_know_the_whole_histories():
    corpus = groups()
    trainer = scripted([1.0])
    emb = EarlyStopping("ndcg@5").train(corpus, learn_with(trainer, trainer.Options(1)), Run(), 1)
    assert list(emb.keys) == list(corpus.keys)
    whole = corpus.histories()
    for row in range(len(corpus.keys)):
        there = [corpus.tokens[int(i)] for i in whole.indices[whole.indptr[row] : whole.indptr[row + 1]]]
        here = emb.histories.take([row]).indices
        assert [emb.tokens[int(i)] for i in here] == there


def test_retraining_learns_from_everything_for_the_best_number_of_epochs():
    corpus, run = groups(), Teller()
    trainer = scripted([0.1, 1.0, 0.2, 0.2, 0.2])
    emb = EarlyStopping("ndcg@5", patience=2, retrain=True).train(corpus, learn_with(trainer), run, 10)
    assert [(c.n_tokens, epochs) for c, epochs in trainer.corpora] == [(280, 10), (320, 2)]
    assert emb.config["early_stopping"]["retrained"]
    assert run.lines[-1] == "Learning again from everything, for 2 epochs."


def test_the_loss_needs_nothing_held_out():
    corpus, run = groups(), Teller()
    trainer = scripted([1.0] * 1200)
    options = trainer.Options(1200)
    emb = EarlyStopping("loss", patience=2).train(corpus, learn_with(trainer, options), run, 1200)
    # From epoch 1000 on, 1 / epoch falls by a thousandth or less.
    assert emb.config["early_stopping"]["epochs"] == 1001
    assert trainer.corpora[0][0] is corpus
    assert len(emb.keys) == 40


def test_words_are_measured_on_a_file(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("t00,t01,9\nt02,t03,8\nt00,t10,1\nt05,t12,2\n")
    trainer = scripted([0.0, 1.0, 0.0])
    stopping = EarlyStopping("words", validation=Validation(path), patience=1)
    emb = stopping.train(groups(), learn_with(trainer), Run(), 10)
    assert emb.config["early_stopping"]["best_epoch"] == 2
    path.write_text("x,y,9\nz,w,8\n")
    with pytest.raises(EmbedkitError, match="knows the words of too few lines"):
        stopping.train(groups(), learn_with(trainer), Run(), 10)


@pytest.mark.parametrize("name", ["als", "skipgram", "cbow", "contrastive", "doc2vec", "fasttext", "glove"])
def test_every_iterative_trainer_stops_early(name):
    run = Teller()
    emb = embedkit.train(
        groups(times=True), name, early_stopping=EarlyStopping("ndcg@5", patience=1), run=run,
        vector_size=8, epochs=30, seed=1, workers=1,
    )  # fmt: skip
    noted = emb.config["early_stopping"]
    assert noted["best_epoch"] <= noted["epochs"] < 30
    assert len(emb.losses) == noted["best_epoch"]
    assert run.lines[0].startswith("Validation leave-one-out: 280 tokens to learn from, 40 held out")
    assert np.diff(emb.histories.indptr).tolist() == [8] * 40


def test_als_folds_whole_histories_in():
    corpus = groups(times=True)
    emb = embedkit.train(corpus, "als", early_stopping="ndcg@5", vector_size=4, epochs=3)
    np.testing.assert_allclose(emb.key_vectors, emb.query_vectors(emb.histories), rtol=1e-3, atol=1e-4)


def test_vectors_of_keys_that_cannot_be_folded_in_stay():
    corpus = groups(6)
    parts = embedkit.evaluation.random(corpus, 0.3)
    learned = np.arange(12, dtype=np.float32).reshape(6, 2)
    model = Embeddings.from_corpus(parts.train, np.ones((len(parts.train.tokens), 2), np.float32), key_vectors=learned)
    whole = with_histories(model, corpus)
    rows = [list(model.keys).index(key) for key in whole.keys]
    np.testing.assert_array_equal(whole.key_vectors, learned[rows])


def test_the_last_interaction_is_held_out_where_there_are_times():
    assert Validation().how(groups(times=True)) == "leave-one-out"
    assert Validation().how(groups()) == "random"


def test_many_rows_are_drawn_from_and_always_the_same():
    corpus = groups()
    few, again = (Validation("leave-one-out", most_rows=7).split(corpus).test for _ in range(2))
    assert len(few) == 7
    assert list(few.keys) == list(again.keys)
    every = Validation("leave-one-out").split(corpus).test
    wanted = dict(zip(every.keys, every.targets.indices.tolist(), strict=True))
    assert {key: wanted[key] for key in few.keys} == dict(zip(few.keys, few.targets.indices.tolist(), strict=True))


def test_rows_with_prefixes_can_be_taken():
    test = embedkit.evaluation.next_item(Corpus.from_sentences([["a", "b"], ["a", "c", "b"]]), 0.5).test
    taken = test.take(np.array([1]))
    assert isinstance(taken, HeldOut)
    assert [taken.tokens[int(i)] for i in taken.prefixes.indices] == ["a", "c"]


def test_a_file_brings_the_validation(tmp_path):
    path = tmp_path / "valid.txt"
    corpus = groups()
    path.write_text("k0 t00 t01\nk1 t10\n")
    parts = Validation(path).split(corpus)
    assert parts.train is corpus
    assert len(parts.test) == 2
    path.write_text("t00 t02\tt04\n")
    assert len(Validation(path, layout="prefix-target").split(corpus).test) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: EarlyStopping("ndgc@20"),
            r"must be METRIC@K .* or 'loss' or 'words'; got 'ndgc@20'. Did you mean 'ndcg'",
        ),
        (lambda: EarlyStopping("ndcg"), r"must be METRIC@K"),
        (lambda: EarlyStopping("ndcg@0"), r"must be METRIC@K"),
        (lambda: EarlyStopping(patience=0), "patience must be a whole number of at least 1; got 0"),
        (lambda: EarlyStopping("words"), "needs a file of similarities or analogies: --validation FILE"),
        (lambda: EarlyStopping("loss", validation=Validation("random")), "which holds nothing out"),
        (lambda: Validation("leave-on-out"), "there is no file leave-on-out. Did you mean 'leave-one-out'"),
        (lambda: Validation("."), "validation must be a split or a file; . is a folder"),
        (lambda: Validation("random", share=1.0), "validation_share must be a number above 0 and below 1"),
        (lambda: Validation("leave-one-out", share=0.5), "does not go with leave-one-out"),
        (lambda: Validation(layout="rows"), "validation_layout must be"),
    ],
)
def test_wrong_values_are_told(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_what_does_not_apply_is_refused():
    with pytest.raises(EmbedkitError, match="'spectral' does not learn in epochs, so there is nothing to stop early"):
        embedkit.train(groups(), "spectral", early_stopping="ndcg@5")
    with pytest.raises(SourceError, match=r"no keys.*--validation next-item.*--early-stopping loss or words"):
        embedkit.train(Corpus.from_sentences([["a", "b"]] * 5), "als", early_stopping="ndcg@1")
    with pytest.raises(OptionError, match="early_stopping asks for the best 200 of 20"):
        embedkit.train(groups(), "als", early_stopping="ndcg@200")


def test_a_trainer_that_tells_of_no_epoch():
    class Silent(embedkit.Trainer):
        """Tells nothing."""

        name = "silent"

        @dataclass(frozen=True)
        class Options:
            epochs: int = 1

        def train(self, corpus, options, run):
            return Embeddings.from_corpus(corpus, np.ones((len(corpus.tokens), 2), np.float32))

    with pytest.raises(EmbedkitError, match="tells of no epoch"):
        EarlyStopping("ndcg@5").train(groups(), learn_with(Silent), Run(), 1)


def test_a_measure_that_is_no_number_ends_it():
    trainer = scripted([1.0])

    def learn(corpus, run, epochs=None):
        run.epoch_done(float("nan"), lambda: trainer().made(corpus, 1.0, []))

    with pytest.raises(EmbedkitError, match="loss is no number after epoch 1"):
        EarlyStopping("loss").train(groups(), learn, Run(), 1)


def test_measures_are_written_as_people_write_them():
    assert str(Measure.parse("hit_rate@7")) == "hit_rate@7"
