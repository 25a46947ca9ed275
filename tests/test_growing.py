"""Growing a model: what joins, what stays, what is refused; every trainer on the same small world."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import embedkit
from embedkit import Corpus, Embeddings, EmbedkitError, OptionError, Sentence, SourceError
from embedkit.contracts import Run
from embedkit.growing.joining import join
from embedkit.growing.updating import moved

GROWING = {
    "skipgram": {"vector_size": 8, "epochs": 30, "window": "sentence", "alpha": 0.1, "sample": 0.0},
    "cbow": {"vector_size": 8, "epochs": 30, "window": "sentence", "alpha": 0.2, "sample": 0.0},
    "fasttext": {"vector_size": 8, "epochs": 30, "bucket": 1000, "alpha": 0.1},
    "doc2vec": {"vector_size": 8, "epochs": 60},
    "contrastive": {"vector_size": 8, "epochs": 20},
    "als": {"vector_size": 4, "epochs": 12, "unobserved_weight": 0.1},
    "spectral": {"vector_size": 4},
}
TETHERED = [name for name in GROWING if name != "spectral"]
SIZE = 24


def day(first, last, when, items=12):
    """Return a sentence for each user: items of its parity, all but one; each user's time goes on by `when`."""
    sentences = []
    for user in range(first, last):
        liked = [item for item in range(user % 2, items, 2) if item != user % items]
        times = [1000 * when + place for place in range(len(liked))]
        sentences.append(Sentence([f"item{item}" for item in liked], key=f"user{user}", times=times))
    return sentences


@pytest.fixture(scope="module")
def base():
    return Corpus.from_sentences(day(0, SIZE, 0))


@pytest.fixture(scope="module")
def new():
    """Two new items, which old and new users of their parity take with others."""
    sentences = [
        Sentence([f"fresh{u % 2}", f"item{u % 2 + 2}", f"item{u % 2 + 4}"], key=f"user{u}", times=[5000, 5001, 5002])
        for u in range(12, SIZE + 6)
    ]
    return Corpus.from_sentences(sentences)


@pytest.fixture(scope="module")
def models(base):
    return {name: embedkit.train(base, name, seed=1, workers=1, **options) for name, options in GROWING.items()}


@pytest.mark.parametrize("trainer", GROWING)
def test_new_tokens_and_keys_join(trainer, models, new):
    model = models[trainer]
    grown = embedkit.update(model, new)
    assert set(grown.tokens) == {*model.tokens, "fresh0", "fresh1"}
    assert [*grown.keys] == [*(f"user{u}" for u in range(SIZE + 6))]
    assert dict(zip(grown.tokens, grown.counts.tolist(), strict=True)) == Counter(
        token
        for corpus in (model, new)
        for token, n in zip(corpus.tokens, corpus.counts, strict=True)
        for _ in range(n)
    )
    assert (np.diff(grown.counts) <= 0).all()
    row = grown.histories.take([grown.keys.find("user13")])
    assert grown.tokens[row.indices][-3:] == ["fresh1", "item3", "item5"]
    assert (np.diff(row.times) > 0).all()
    assert (np.isfinite(grown.vectors)).all()
    assert grown.config["options"] == model.config["options"]
    assert grown.config["grown"]["times"] == 1


@pytest.mark.parametrize("trainer", GROWING)
def test_new_items_are_recommended_to_those_they_suit_and_not_to_those_who_have_them(trainer, models, new):
    grown = embedkit.update(models[trainer], new)
    for user, fresh in (("user0", "fresh0"), ("user1", "fresh1")):
        other = "fresh1" if fresh == "fresh0" else "fresh0"
        scores = dict(grown.recommend(user, topn=len(grown)))
        assert scores[fresh] > scores[other]
    assert "fresh0" not in dict(grown.recommend("user12", topn=len(grown)))
    assert "item0" not in dict(grown.recommend("user14", topn=len(grown)))


@pytest.mark.parametrize("trainer", TETHERED)
def test_without_drift_no_bit_of_the_models_tokens_changes(trainer, models, new):
    model = models[trainer]
    grown = embedkit.update(model, new, drift=0)
    places = grown.tokens.find_all(model.tokens)
    assert np.array_equal(grown.vectors[places], model.vectors)
    assert np.array_equal(grown.targets[places], model.targets)
    assert (np.linalg.norm(grown[["fresh0", "fresh1"]], axis=1) > 0).all()


@pytest.mark.parametrize("trainer", TETHERED)
def test_the_less_drift_the_less_old_tokens_move(trainer, models, new):
    ways = [moved(models[trainer], embedkit.update(models[trainer], new, drift=drift)) for drift in (0.0, 0.2, 1.0)]
    assert ways[0] == 0 < ways[1] < ways[2]


def test_ratings_grow_too(base):
    rated = [
        Sentence(s.tokens, key=s.key, times=s.times, weights=[5.0 if s.key[-1] in "02468" else 1.0] * len(s.tokens))
        for s in day(0, SIZE, 0)
    ]
    model = embedkit.train(Corpus.from_sentences(rated), "als", loss="explicit", vector_size=4)
    some = [Sentence(["fresh", "item0"], key="user0", times=[9000, 9001], weights=[5.0, 5.0])]
    grown = embedkit.update(model, Corpus.from_sentences(some))
    assert dict(grown.recommend("user2", topn=20))["fresh"] > 3
    with pytest.raises(EmbedkitError, match="have weights, and the new sentences have none"):
        embedkit.update(model, Corpus.from_sentences([Sentence(["fresh"], key="user0", times=[9000])]))


@pytest.mark.parametrize("architecture", ["dbow", "dm"])
def test_keys_of_doc2vec_keep_their_vectors_where_nothing_new_is_theirs(architecture, base, new):
    model = embedkit.train(base, "doc2vec", architecture=architecture, vector_size=8, epochs=5)
    grown = embedkit.update(model, new, epochs=2)
    kept = [f"user{u}" for u in range(12)]
    assert np.array_equal(grown.key_vectors[grown.keys.find_all(kept)], model.key_vectors[model.keys.find_all(kept)])
    assert not np.array_equal(grown.key_vector("user12"), model.key_vector("user12"))
    assert grown.config["fold_in"] == model.config["fold_in"]


def test_words_of_fasttext_begin_with_what_is_known_of_their_ngrams():
    text = [["walking", "talking", "running"], ["walked", "talked", "jumped"]] * 30
    model = embedkit.train(Corpus.from_sentences(text), "fasttext", vector_size=8, epochs=5, bucket=500)
    unseen = model["talkings"]
    grown = embedkit.update(model, Corpus.from_sentences([["talkings", "walking"]]), epochs=1, alpha=0.0001)
    assert "talkings" in grown
    cosine = grown.similarity("talkings", "talking")
    assert cosine > grown.similarity("talkings", "jumped")
    assert np.linalg.norm(unseen) > 0


def test_an_update_of_an_update_counts_both_and_keeps_the_latest_notes(models, new):
    model = models["als"]
    for n in range(1, 13):
        model = embedkit.update(model, Corpus.from_sentences(day(0, 2, 10 + n)), epochs=1, drift=0.5)
        assert model.config["grown"]["times"] == n
    told = model.config["grown"]
    assert told["tokens"] == 12 * 10
    assert len(told["latest"]) == 10
    assert (
        told["latest"][-1].items() >= {"tokens": 10, "new_tokens": 0, "new_keys": 0, "drift": 0.5, "epochs": 1}.items()
    )


def test_a_model_file_grows_from_its_path(models, new, tmp_path):
    models["skipgram"].save(tmp_path / "m.safetensors")
    grown = embedkit.update(tmp_path / "m.safetensors", new, epochs=1)
    grown.save(tmp_path / "m.safetensors")
    assert "fresh0" in embedkit.load(tmp_path / "m.safetensors")


def test_labels_of_both_are_kept_and_new_ones_go_before(base):
    frame = {"user_id": ["a", "a", "b"], "item": ["x", "y", "x"], "item_title": ["Old X", "Y", "Old X"]}
    later = {"user_id": ["a", "c"], "item": ["z", "x"], "item_title": ["Z", "New X"]}
    pa = pytest.importorskip("pyarrow")
    model = embedkit.train("sessions", "als", input=pa.table(frame), vector_size=2)
    grown = embedkit.update(model, "sessions", input=pa.table(later))
    assert {token: grown.label(token) for token in grown.tokens} == {"x": "New X", "y": "Y", "z": "Z"}


def test_rare_tokens_join_only_if_new_ones_are_frequent_enough(tmp_path):
    (tmp_path / "a.txt").write_text("apple pear apple pear apple pear plum plum\n" * 2)
    (tmp_path / "b.txt").write_text("apple kiwi fig fig fig\nplum\n")
    model = embedkit.train("text", input=str(tmp_path / "a.txt"), min_count=3, epochs=1, vector_size=4)
    grown = embedkit.update(model, "text", input=str(tmp_path / "b.txt"))
    assert dict(zip(grown.tokens, grown.counts.tolist(), strict=True)) == {"apple": 7, "pear": 6, "plum": 5, "fig": 3}
    lower = embedkit.update(model, "text", input=str(tmp_path / "b.txt"), min_count=1)
    assert "kiwi" in lower


def test_data_without_new_names_and_data_without_known_names_grow_a_model(models):
    known = embedkit.update(models["skipgram"], Corpus.from_sentences(day(0, 4, 3)))
    assert set(known.tokens) == set(models["skipgram"].tokens)
    assert known.counts.sum() == models["skipgram"].counts.sum() + 20
    strange = Corpus.from_sentences([Sentence(["x", "y"], key="z", times=[1, 2])])
    grown = embedkit.update(models["skipgram"], strange)
    assert {"x", "y"} <= set(grown.tokens)
    assert "y" not in dict(grown.recommend("z", topn=50))


@pytest.mark.parametrize("trainer", ["als", "skipgram"])
def test_a_token_that_extend_brought_keeps_its_vector_until_it_occurs(trainer, models, new):
    model = models[trainer]
    content = Embeddings([*model.tokens, "cold"], np.random.default_rng(0).normal(size=(len(model) + 1, 3)))
    extended = embedkit.extend(model, content, length="predicted")
    grown = embedkit.update(extended, new)
    assert np.array_equal(grown["cold"], extended["cold"])
    assert grown.counts[grown.tokens.find("cold")] == 0


def test_a_sentence_goes_on_with_its_keys_history_unless_keys_have_several(models):
    corpus = Corpus.from_sentences([Sentence(["item0", "fresh"], key="user2", times=[9000, 9001])])
    grown = join(models["als"], corpus, Run())
    assert grown.goes_on
    whole = [*day(2, 3, 0)[0].tokens, "item0", "fresh"]
    assert grown.tokens[grown.ids] == whole
    twice = [Sentence([item], key="user2", times=[9000]) for item in ("item0", "fresh")]
    grown = join(models["als"], Corpus.from_sentences(twice), Run())
    assert not grown.goes_on
    assert grown.tokens[np.asarray(grown.ids)] == ["item0", "fresh"]


sentences = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 20)), min_size=1, max_size=5),
        st.sampled_from([None, "u", "v", "w"]),
    ),
    min_size=1,
    max_size=8,
)


def corpus_of(rows):
    return Corpus.from_sentences(
        [Sentence([token for token, _ in row], key=key, times=[when for _, when in row]) for row, key in rows]
    )


@settings(max_examples=40)
@given(sentences, sentences)
def test_joined_counts_and_histories_are_those_of_all_sentences(before, after):
    first, second, both = corpus_of(before), corpus_of(after), corpus_of(before + after)
    model = Embeddings.from_corpus(first, np.ones((len(first.tokens), 2), np.float32))
    joined = join(model, second, Run())
    counted = dict(zip(both.tokens, both.counts.tolist(), strict=True))
    assert dict(zip(joined.tokens, joined.counts.tolist(), strict=True)) == counted
    assert (np.diff(joined.counts) <= 0).all()
    assert [*(joined.keys or [])] == [*(both.keys or [])]
    if both.keys is not None:
        ours, theirs = joined.histories(), both.histories()
        assert np.array_equal(ours.indptr, theirs.indptr)
        assert np.array_equal(ours.times, theirs.times)
        assert joined.tokens[ours.indices] == both.tokens[theirs.indices]


def test_spectral_chooses_anew_once_there_is_a_fifth_more():
    def people(first, last):
        return [Sentence([f"i{(p + i * i) % 11}" for i in range(8)], key=f"p{p}") for p in range(first, last)]

    first = embedkit.train(Corpus.from_sentences(people(0, 60)), "spectral", vector_size=4)
    assert first.config["chosen_at"] == 480
    second = embedkit.update(first, Corpus.from_sentences(people(60, 70)))
    assert (second.config["chosen_at"], second.config["chosen"]) == (480, first.config["chosen"])
    third = embedkit.update(second, Corpus.from_sentences(people(70, 75)))
    assert third.config["chosen_at"] == 600


class Telling(Run):
    def __init__(self):
        super().__init__()
        self.lines = []

    def say(self, message):
        self.lines.append(message)


def test_times_must_be_there_if_they_were_and_are_told_of_if_they_were_not(models):
    with pytest.raises(EmbedkitError, match="have times, and the new sentences have none"):
        embedkit.update(models["als"], Corpus.from_sentences([Sentence(["item1"], key="user0")]))
    plain = Corpus.from_sentences([Sentence(s.tokens, key=s.key) for s in day(0, SIZE, 0)])
    run = Telling()
    grown = embedkit.update(embedkit.train(plain, "als", vector_size=4), Corpus.from_sentences(day(0, 2, 1)), run=run)
    assert grown.histories.times is None
    assert any("have no times, so" in line for line in run.lines)
    assert run.start is None


def test_what_was_learned_before_is_told_of(models, base):
    some = Corpus.from_sentences([*day(0, 2, 0), *day(2, 4, 1), *day(SIZE, SIZE + 1, 0)])
    for again, told in ((base, base.n_tokens), (some, 10)):
        run = Telling()
        embedkit.update(models["als"], again, run=run, again=True)
        assert any(line.startswith(f"{told} of {again.n_tokens} new tokens are") for line in run.lines)
    run = Telling()
    embedkit.update(models["als"], Corpus.from_sentences(day(0, 4, 1)), run=run)
    assert not any("learned before" in line for line in run.lines)


@pytest.mark.parametrize(
    ("trainer", "options", "said"),
    [
        ("glove", {}, "glove learns from counts over all data"),
        ("spectral", {"matrix": "token-token"}, "counted over all data"),
        ("skipgram", {"loss": "hierarchical-softmax"}, "nodes of a tree"),
    ],
)
def test_what_cannot_grow_says_so_in_one_line(trainer, options, said, base, new):
    model = embedkit.train(base, trainer, vector_size=2, **options)
    with pytest.raises(EmbedkitError, match=said) as error:
        embedkit.update(model, new)
    assert "train anew" in str(error.value).lower()
    assert "\n" not in str(error.value)


def test_models_that_lack_what_growing_needs_are_refused(base, new):
    with pytest.raises(EmbedkitError, match="does not tell how it was trained"):
        embedkit.update(Embeddings(["a"], np.ones((1, 2))), new)
    with pytest.raises(EmbedkitError, match="was imported"):
        embedkit.update(Embeddings(["a"], np.ones((1, 2)), config={"imported": {}}), new)
    nobody = Corpus.from_sentences([s.tokens for s in day(0, SIZE, 0)])
    for trainer in ("als", "spectral"):
        with pytest.raises(EmbedkitError, match=r"keeps none: its sentences were nobody's\. Train anew"):
            embedkit.update(embedkit.train(nobody, trainer, vector_size=2), new)


def test_options_that_are_the_models_are_refused(models, new, tmp_path):
    (tmp_path / "a.txt").write_text("item0 item1\n")
    for options, said in (
        ({"vector_size": 5}, "vector_size is the model's"),
        ({"iterations": 5}, "iterations is no option of trainer 'skipgram'"),
        ({"epoch": 5}, "epoch is no option"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1"),
        ({"drift": 1.5}, "drift must be from 0"),
        ({"drift": float("nan")}, "drift must be from 0"),
    ):
        with pytest.raises(OptionError, match=said):
            embedkit.update(models["skipgram"], "text", input=str(tmp_path / "a.txt"), **options)
    with pytest.raises(SourceError, match="say what to read with --input"):
        embedkit.update(models["skipgram"], "sessions")
    with pytest.raises(OptionError, match="goes with a source"):
        embedkit.update(models["skipgram"], new, min_count=2)
    with pytest.raises(OptionError, match="drift is not for spectral"):
        embedkit.update(models["spectral"], new, drift=0.5)
    with pytest.raises(OptionError, match="drift is not for spectral"):  # before anything is read
        embedkit.update(models["spectral"], "sessions", input="nowhere.csv", drift=0.5)


class Stopped(Run):
    """Ends a training at its n-th epoch."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def epoch_done(self, loss, snapshot):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return True


def test_a_reproducible_model_grows_to_the_same_bits_with_any_number_of_workers(base, new):
    model = embedkit.train(base, "skipgram", reproducible=True, vector_size=8, epochs=2, window="sentence")
    one, two = (embedkit.update(model, new, workers=workers, drift=0.5) for workers in (1, 2))
    assert np.array_equal(one.vectors, two.vectors)
    assert np.array_equal(one.targets, two.targets)


@pytest.mark.parametrize("trainer", ["skipgram", "als", "contrastive"])
def test_an_update_that_was_killed_goes_on_to_the_same_bits(trainer, models, new, tmp_path):
    whole = embedkit.update(models[trainer], new, drift=0.5, epochs=4, workers=1)

    def update(model, run, drift=0.5):
        states = embedkit.Checkpoint(tmp_path, every="1epoch", resume=True)
        return embedkit.update(model, new, drift=drift, epochs=4, workers=1, run=run, checkpoint=states)

    with pytest.raises(KeyboardInterrupt):
        update(models[trainer], Stopped(2))
    with pytest.raises(EmbedkitError, match=r"--drift was 0\.5 and is 1"):
        update(models[trainer], Run(), drift=1.0)
    other = Embeddings.from_corpus(
        Corpus.from_sentences(day(0, SIZE, 0)), models[trainer].vectors + 1,
        context_vectors=models[trainer].context_vectors, config=models[trainer].config,
        key_vectors=models[trainer].key_vectors,
    )  # fmt: skip
    with pytest.raises(EmbedkitError, match=r"the data changed \(model\)"):
        update(other, Run())
    resumed = update(models[trainer], Run())
    assert np.array_equal(resumed.vectors, whole.vectors)
    assert np.array_equal(resumed.targets, whole.targets)


def test_a_trainer_of_somebody_else_says_whether_it_grows(base, new):
    class Counting(embedkit.Trainer):
        name = "counting"

        def train(self, corpus, options, run):
            begun = np.zeros((len(corpus.tokens), 1), np.float32)
            if run.start is not None:
                places = corpus.tokens.find_all(run.start.tokens)
                begun[places] = run.start.vectors
            return Embeddings.from_corpus(corpus, begun + 1)

    class Plugins:
        def trainer(self, name):
            return kinds[name]

    kinds = {"counting": Counting}
    model = embedkit.train(base, Counting)
    with pytest.raises(EmbedkitError, match="'counting' cannot grow a model; train anew"):
        embedkit.update(model, new, plugins=Plugins())
    Counting.options_to_grow = classmethod(lambda cls, start, options: options)
    grown = embedkit.update(model, new, plugins=Plugins())
    assert grown["item1"].tolist() == [2]
    assert grown["fresh1"].tolist() == [1]
