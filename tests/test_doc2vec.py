"""Paragraph vectors: kernel against twin, the trainer's promises, vectors of unseen documents."""

import numpy as np
import pytest
from checkerboard import GRID, checkerboard, misses
from reference_doc2vec import dbow as twin_of_dbow
from reference_doc2vec import dm as twin_of_dm
from reference_doc2vec import inferred_loss

import embedkit
from embedkit import Corpus, EmbedkitError, OptionError, Sentence
from embedkit.contracts import History, QueryContext
from embedkit.queries import infer
from embedkit.trainers.machinery.distributions import alias_table
from embedkit.trainers.sampling.kernels_doc2vec import dbow, dm

DM = {
    "window": 3, "shrink": True, "negative": 5.0, "T": 8, "K": 24, "centres": 8, "alpha": 0.1, "alpha_end": 0.02
}  # fmt: skip
DBOW = {"negative": 5, "alpha": 0.1, "alpha_end": 0.02}
SEEDS = (11, 22)


def setting(lengths, n_tokens, size, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, n_tokens, sum(lengths)).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    keys = rng.integers(-1, 4, len(lengths)).astype(np.int32)
    tables = []
    for n in (n_tokens, n_tokens, 4):
        table = np.zeros((n, (size + 15) // 16 * 16), np.float32)
        table[:, :size] = rng.normal(size=(n, size)) / size**0.5
        tables.append(table)
    return ids, offsets, keys, tables, alias_table(rng.dirichlet(np.ones(n_tokens)))


def run(ids, offsets, keys, tables, noise, at_once=10**9, keep=None, **options):
    """Go over the corpus in as many calls as it takes: with dm, or with dbow where there are but two tables."""
    cursor, pending, state = np.zeros(4, np.int64), np.zeros((3, 100), np.int64), np.array(SEEDS, np.uint64)
    keep = np.ones(len(tables[0]), np.float32) if keep is None else keep
    loss, pairs, finished = 0.0, 0, False
    while not finished:
        rest = (*tables, keep, *noise, 0, len(ids), at_once)
        if len(tables) == 2:
            step = dbow(ids, offsets, keys, cursor, state, *rest, *{**DBOW, **options}.values())
        else:
            step = dm(ids, offsets, keys, cursor, pending, state, *rest, *{**DM, **options}.values())
        loss, pairs, finished = loss + step[0], pairs + step[1], step[2]
    return loss, pairs


def assert_agrees(found, tables, expected):
    loss, pairs, *others = expected
    assert found == (pytest.approx(loss, rel=1e-4, abs=1e-4), pairs)
    for table, other in zip(tables, others, strict=True):
        np.testing.assert_allclose(table, other, rtol=1e-3, atol=2e-4)


SIZES = pytest.mark.parametrize("size", [1, 7, 16, 33])
LENGTHS = pytest.mark.parametrize("lengths", [[40, 1, 0, 2, 30], [1], [3] * 20])


@SIZES
@LENGTHS
def test_distributed_memory_does_what_its_twin_does(size, lengths):
    ids, offsets, keys, tables, noise = setting(lengths, 30, size)
    expected = twin_of_dm(ids, offsets, keys, *tables, *noise, SEEDS, capacity=100, **DM)
    assert_agrees(run(ids, offsets, keys, tables, noise), tables, expected)


@SIZES
@LENGTHS
@pytest.mark.parametrize("kept", [1, 0.6])
def test_distributed_bag_of_words_does_what_its_twin_does(size, lengths, kept):
    ids, offsets, keys, (_, *tables), noise = setting(lengths, 30, size)
    keep = np.full(30, kept, np.float32)
    expected = twin_of_dbow(ids, offsets, keys, *tables, keep, *noise, SEEDS, **DBOW)
    assert_agrees(run(ids, offsets, keys, tables, noise, keep=keep), tables, expected)


ARCHITECTURES = pytest.mark.parametrize("architecture", ["dbow", "dm"])


@ARCHITECTURES
def test_calls_that_read_a_little_give_the_same_bits(architecture):
    results = []
    for at_once in (10**9, 7):
        ids, offsets, keys, tables, noise = setting([40, 12, 0, 2, 30], 50, 20)
        tables = tables if architecture == "dm" else tables[1:]
        run(ids, offsets, keys, tables, noise, at_once)
        results.append(tables)
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


@ARCHITECTURES
def test_a_tiny_step_is_the_gradient_of_the_stated_loss(architecture):
    """The loss that a pass reports, with no learning, changes as the steps of a pass say it does."""
    rate, step = 1e-3, 1e-2
    ids, offsets, keys, tables, noise = setting([8], 20, 6, seed=3)
    keys[:] = 1
    options = {"shrink": False} if architecture == "dm" else {}
    tables = tables if architecture == "dm" else tables[1:]
    stepped = [table.copy() for table in tables]
    run(ids, offsets, keys, stepped, noise, alpha=rate, alpha_end=rate, **options)

    def loss_at(which, row, column, change):
        moved = [table.copy() for table in tables]
        moved[which][row, column] += change
        still = {**options, "alpha": 0.0, "alpha_end": 0.0}
        if architecture == "dm":
            return twin_of_dm(ids, offsets, keys, *moved, *noise, SEEDS, capacity=100, **{**DM, **still})[0]
        keep = np.ones(20, np.float32)
        return twin_of_dbow(ids, offsets, keys, *moved, keep, *noise, SEEDS, **{**DBOW, **still})[0]

    rows = (ids[2], ids[0], 1) if architecture == "dm" else (ids[0], 1)
    for which, row in enumerate(rows):
        for column in range(6):
            slope = (loss_at(which, row, column, step) - loss_at(which, row, column, -step)) / (2 * step)
            moved = (tables[which][row, column] - stepped[which][row, column]) / rate
            assert moved == pytest.approx(slope, rel=2e-2, abs=5e-3)


FILLING = {"epochs": 200, "alpha": 0.1, "sample": 0}


@pytest.mark.parametrize(("size", "seed"), GRID)
def test_the_checkerboard_is_filled(seed, size):
    assert misses(embedkit.train(checkerboard(seed), "doc2vec", vector_size=size, seed=seed, **FILLING)) == []


@pytest.mark.parametrize(("size", "seed"), GRID)
def test_distributed_memory_fills_it_by_what_it_predicts_from(seed, size):
    """That is the mean of a key's vector and its tokens'; the key's own holds only what the tokens leave open."""
    emb = embedkit.train(
        checkerboard(seed), "doc2vec", architecture="dm", vector_size=size, window=20, shrink_windows=False, seed=seed,
        **FILLING,
    )  # fmt: skip
    for user, (key_vector, history) in enumerate(zip(emb.key_vectors, emb.histories, strict=True)):
        scores = emb.context_vectors @ (key_vector + emb.vectors[history].sum(axis=0))
        scores[history] = -np.inf
        assert emb.tokens[int(scores.argmax())] == f"item{user}"


def documents(n=300, seed=0):
    """Return documents of six tokens of one of four topics, the topic first in their keys."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(0, 4, n).tolist()
    return [
        Sentence([f"{t}{letter}" for letter in rng.choice(list("abcdefgh"), 6)], f"{t}-{i}")
        for i, t in enumerate(topics)
    ]


LEARNING = {
    "dbow": {"architecture": "dbow", "vector_size": 12, "epochs": 20, "alpha": 0.1, "sample": 0},
    "dm": {
        "architecture": "dm", "vector_size": 12, "window": 2, "negative": 2, "epochs": 30, "alpha": 0.1, "sample": 0
    },
}  # fmt: skip


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@ARCHITECTURES
def test_documents_of_a_topic_lie_together(architecture):
    emb = embedkit.train(Corpus.from_sentences(documents()), "doc2vec", **LEARNING[architecture])
    topics = np.array([key[0] for key in emb.keys])
    cosines = unit(emb.key_vectors) @ unit(emb.key_vectors).T
    np.fill_diagonal(cosines, -1)
    assert np.mean(topics[cosines.argmax(axis=1)] == topics) > 0.98
    assert emb.losses[-1] < 0.7 * emb.losses[0]


def test_an_unseen_document_is_recommended_what_belongs_to_its_topic():
    emb = embedkit.train(Corpus.from_sentences(documents()), "doc2vec", **LEARNING["dbow"])
    for topic in "0123":
        best = emb.recommend(history=[f"{topic}{letter}" for letter in "abcdef"], topn=2)
        assert sorted(token for token, _ in best) == [f"{topic}g", f"{topic}h"]


def inferred(emb):
    contexts = emb.vectors if emb.context_vectors is None else emb.context_vectors
    return infer(emb.histories, QueryContext(emb.vectors, contexts, emb.counts, emb.arrays, emb.config))


def test_a_seen_document_s_inferred_vector_is_near_its_own():
    emb = embedkit.train(Corpus.from_sentences(documents()), "doc2vec", **LEARNING["dbow"])
    assert np.median((unit(inferred(emb)) * unit(emb.key_vectors)).sum(axis=1)) > 0.95


@ARCHITECTURES
def test_inferred_vectors_of_a_topic_lie_together(architecture):
    emb = embedkit.train(Corpus.from_sentences(documents()), "doc2vec", **LEARNING[architecture])
    topics, vectors = np.array([key[0] for key in emb.keys]), unit(inferred(emb))
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    assert np.mean(topics[cosines.argmax(axis=1)] == topics) > 0.95


@pytest.mark.parametrize("with_tokens", [False, True])
def test_inference_goes_down_the_gradient_of_its_loss(with_tokens):
    rng = np.random.default_rng(5)
    vectors, contexts = (rng.normal(size=(12, 5)).astype(np.float32) for _ in range(2))
    keep = rng.uniform(0.3, 1, 12).astype(np.float32)
    tokens, noise = [3, 7, 7, 1, 0], np.array([1, 2, 3, 11], np.int32)
    rate = 1e-3
    fold_in = {
        "architecture": "dm" if with_tokens else "dbow", "window": 2, "negative": 3, "alpha": rate, "min_alpha": rate,
        "epochs": 1,
    }  # fmt: skip
    context = QueryContext(vectors, contexts, None, {"noise": noise, "keep": keep}, {"fold_in": fold_in})
    history = History(np.array([0, len(tokens), len(tokens)]), np.array(tokens, np.int32))
    found = infer(history, context)
    arguments = (tokens, vectors, contexts, noise, keep, 3, 2, with_tokens)
    _, gradient = inferred_loss(np.zeros(5), *arguments)
    np.testing.assert_allclose(found[0], -rate * gradient, rtol=1e-3, atol=1e-6)
    assert not found[1].any()
    for column in range(5):
        change = np.eye(5)[column] * 1e-5
        slope = (inferred_loss(change, *arguments)[0] - inferred_loss(-change, *arguments)[0]) / 2e-5
        assert gradient[column] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_a_long_history_ends_in_the_minimum_and_does_not_overshoot():
    rng = np.random.default_rng(1)
    contexts = 3 * rng.normal(size=(50, 8)).astype(np.float32)
    fold_in = {"architecture": "dbow", "window": 5, "negative": 5, "alpha": 0.1, "min_alpha": 0.001, "epochs": 10}
    noise, keep = np.arange(50, dtype=np.int32), np.ones(50, np.float32)
    context = QueryContext(contexts, contexts, None, {"noise": noise, "keep": keep}, {"fold_in": fold_in})
    tokens = np.tile(np.arange(5, dtype=np.int32), 1000)
    found = infer(History(np.array([0, len(tokens)]), tokens), context)[0]
    arguments = (range(5), contexts, contexts, noise, keep, 5, 5, False)
    before, after = (inferred_loss(v, *arguments) for v in (np.zeros(8), found.astype(float)))
    assert np.linalg.norm(after[1]) < 0.01 * np.linalg.norm(before[1])
    assert after[0] < before[0]


def test_one_worker_and_one_seed_give_the_same_bits():
    corpus = Corpus.from_sentences(documents())
    first, second, other = (
        embedkit.train(corpus, "doc2vec", vector_size=10, epochs=2, workers=1, seed=s) for s in (7, 7, 8)
    )
    assert np.array_equal(first.key_vectors, second.key_vectors)
    assert not np.array_equal(first.key_vectors, other.key_vectors)


def test_the_model_file_keeps_what_inference_needs(tmp_path):
    emb = embedkit.train(Corpus.from_sentences(documents()), "doc2vec", vector_size=8, epochs=3)
    emb.save(tmp_path / "m.safetensors")
    again = embedkit.load(tmp_path / "m.safetensors")
    assert again.recommend(history=["0a", "0b"], topn=3) == emb.recommend(history=["0a", "0b"], topn=3)


def test_sentences_without_keys_are_refused_with_the_remedy():
    with pytest.raises(EmbedkitError, match=r"no keys to learn vectors of; with --source text, --key line makes"):
        embedkit.train(Corpus.from_sentences([["a", "b"]]), "doc2vec")


def test_a_learning_rate_that_rises_is_refused():
    with pytest.raises(OptionError, match="min_alpha must not exceed alpha"):
        embedkit.train(Corpus.from_sentences(documents()), "doc2vec", alpha=0.1, min_alpha=0.2)


def test_vectors_that_diverge_are_refused():
    with pytest.raises(EmbedkitError, match=r"grew beyond all bounds; lower --alpha"), np.errstate(all="ignore"):
        embedkit.train(Corpus.from_sentences(documents()), "doc2vec", vector_size=4, alpha=100, epochs=30)


def test_early_stopping_keeps_the_key_vectors_that_were_learned():
    class Keeper(embedkit.Run):
        """A run that keeps each epoch's key vectors."""

        def __init__(self):
            super().__init__()
            self.seen = []

        def epoch_done(self, loss, snapshot):
            self.seen.append(snapshot())
            return True

    run = Keeper()
    corpus = Corpus.from_sentences(documents())
    emb = embedkit.train(corpus, "doc2vec", epochs=4, run=run, early_stopping="ndcg@5")
    rows = [made.key_vectors[made.keys.find_all(list(emb.keys))] for made in run.seen]
    assert any(np.array_equal(emb.key_vectors, vectors) for vectors in rows)
