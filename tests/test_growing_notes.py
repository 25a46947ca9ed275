"""What a model tells of its updates, and that it refuses sentences that one of them learned already."""

import pytest

import embedkit
from embedkit import Corpus, EmbedkitError, Sentence, Source
from embedkit.checkpoints import fingerprint
from embedkit.growing.notes import Notes
from embedkit.names import Names

FIRST = [Sentence([f"i{(u + i) % 7}" for i in range(4)], key=f"u{u}") for u in range(8)]
NEW = Corpus.from_sentences([Sentence(["i1", "fresh"], key="u0"), Sentence(["fresh", "i2"], key="u9")])


@pytest.fixture(scope="module")
def model():
    return embedkit.train(Corpus.from_sentences(FIRST), "als", vector_size=4, epochs=2)


def test_sentences_that_an_update_learned_are_refused_unless_they_are_to_count_again(model):
    once = embedkit.update(model, NEW, epochs=1)
    with pytest.raises(EmbedkitError, match=r"learned from these very sentences already \(20.* --again"):
        embedkit.update(once, NEW, epochs=1)
    twice = embedkit.update(once, NEW, epochs=1, again=True)
    assert twice.config["grown"]["times"] == 2
    assert twice.counts.sum() == once.counts.sum() + NEW.n_tokens


def test_the_sentences_that_the_model_was_trained_on_are_refused_too(model):
    for grown in (model, embedkit.update(model, NEW, epochs=1)):
        assert grown.config["learned"]["tokens"] == 32
        with pytest.raises(EmbedkitError, match=r"these very sentences already \(when it was trained\)"):
            embedkit.update(grown, Corpus.from_sentences(FIRST))
    again = embedkit.update(model, Corpus.from_sentences(FIRST), epochs=1, again=True)
    assert again.counts.sum() == 2 * model.counts.sum()


@pytest.mark.parametrize("told", [None, "x", ["digest"], {"digest": None}])
def test_a_model_that_does_not_tell_what_it_was_trained_on_grows_by_it(model, told):
    grown = embedkit.update(model.with_config(learned=told), Corpus.from_sentences(FIRST), epochs=1)
    assert grown.config["learned"] == told


def test_what_a_model_was_trained_on_is_not_made_up_by_its_updates(model):
    config = {name: value for name, value in model.config.items() if name != "learned"}
    parts = {"counts": model.counts, "histories": model.histories, "key_vectors": model.key_vectors}
    old = embedkit.Embeddings(model.tokens, model.vectors, keys=model.keys, query=model.query, config=config, **parts)
    assert "learned" not in embedkit.update(old, NEW, epochs=1).config


def test_the_same_file_is_refused_by_an_update_though_rare_tokens_were_left_out(tmp_path):
    (tmp_path / "words.txt").write_text("a a b b c\nb a d a b\n" * 2)
    read = {"input": tmp_path / "words.txt", "min_count": 3}
    model = embedkit.train("text", "skipgram", vector_size=2, epochs=1, **read)
    assert len(model) == 2
    with pytest.raises(EmbedkitError, match="these very sentences already"):
        embedkit.update(model, "text", **read)


def test_an_update_between_them_makes_no_difference(model):
    once = embedkit.update(model, NEW, epochs=1)
    other = Corpus.from_sentences([Sentence(["i3", "other", "other"], key="u3")])
    with pytest.raises(EmbedkitError, match="learned from these very sentences already"):
        embedkit.update(embedkit.update(once, other, epochs=1), NEW)


def test_the_note_has_options_as_they_were_used(model):
    grown = embedkit.update(model, NEW, epochs="3")
    assert grown.config["grown"]["latest"][-1]["epochs"] == 3


@pytest.mark.parametrize(
    "told",
    [
        None,
        "x",
        {"times": "1", "tokens": None, "latest": None},
        {"latest": 5},
        {"latest": "abc"},
        {"latest": {"digest": "x"}},
        {"latest": [None, "a", 3, {"digest": ["x"]}, {"at": []}]},
    ],
)
def test_odd_notes_do_no_harm(model, told):
    grown = embedkit.update(model.with_config(grown=told), NEW, epochs=1)
    assert grown.config["grown"]["times"] == 1
    assert grown.config["grown"]["tokens"] == NEW.n_tokens


def test_a_note_without_a_date_is_known_too(model):
    known = model.with_config(grown={"latest": [{"digest": fingerprint(NEW)}]})
    assert Notes.of(known).of_the_same(NEW) is not None
    with pytest.raises(EmbedkitError, match=r"already \(some time ago\); it stays"):
        embedkit.update(known, NEW)


class Given(Source):
    """A source of the sentences that it is given."""

    name = "given"

    def sentences(self):
        return iter(self.options)


def test_a_fingerprint_is_of_all_that_was_read():
    sentences = [Sentence(["b", "a"], key="x"), Sentence(["a", "c", "a"], key="y")]
    plain = Corpus.from_sentences(sentences)
    others = Corpus.from_source(Given(sentences), known=Names.from_strings(["never", "c", "b"]))
    assert fingerprint(plain) == fingerprint(others)
    changed = [
        [Sentence(["a", "b"], key="x"), sentences[1]],
        [Sentence(["b", "a"], key="z"), sentences[1]],
        [Sentence(["b", "a"], key="x", times=[1, 2]), Sentence(["a", "c", "a"], key="y", times=[1, 2, 3])],
        [Sentence(["b", "a", "a"], key="x"), Sentence(["c", "a"], key="y")],
        [Sentence(["b", "a"], key="x"), Sentence(["a", "d", "a"], key="y")],
    ]
    marks = {fingerprint(Corpus.from_sentences(some)) for some in [sentences, *changed]}
    assert len(marks) == 1 + len(changed)
