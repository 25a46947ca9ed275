"""Files that are exported: read back by import and by the programs they are meant for, to the bit; or refused whole."""

import json
import subprocess
import sys
import textwrap
import zipfile
from fractions import Fraction

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import needs
from hypothesis import example, given
from hypothesis import strategies as st

from embedkit import Embeddings, EmbedkitError, ModelError, OptionError, UnknownNameError, import_vectors, load
from embedkit.contracts import Exporter, History
from embedkit.embeddings.exporting import Notes, export, select
from embedkit.embeddings.ngrams import Ngrams
from embedkit.embeddings.subwords import Subwords
from embedkit.exporters.kernels_text import LONGEST, write_lines

FILES = ["word2vec", "word2vec-binary", "glove", "vec", "npz", "parquet", "safetensors"]
FORMS = {"word2vec": "vec", "glove": "vec"}  # what import calls them, where that is something else


def make(n=3000, width=5, **more):
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((n, width)) * 10.0 ** rng.integers(-30, 30, (n, 1))).astype(np.float32)
    vectors[0] = [0, -0.0, 1, np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal][:width]
    return Embeddings([f"토큰{i}" for i in range(n)], vectors, **more)


def make_model():
    """Return a model that has everything."""
    rng = np.random.default_rng(1)
    return Embeddings(
        ["a", "b", "c"],
        rng.standard_normal((3, 4), np.float32),
        counts=[30, 20, 10],
        labels=["=A", "", "다\t다"],
        context_vectors=rng.standard_normal((3, 4), np.float32),
        keys=["u1", "none", "u2"],
        histories=History(np.array([0, 2, 2, 3]), np.array([0, 1, 2], np.int32)),
    )


def written(numbers):
    """Return float32 numbers as the text that is written of them."""
    rows = np.asarray(numbers, np.float32).reshape(-1, 1)
    out = np.empty(len(rows) * LONGEST, np.uint8)
    none = np.empty(0, np.int64)
    size = write_lines(np.empty(0, np.uint8), none, rows, rows.view(np.uint32), ord(" "), out)
    return out[:size].tobytes().decode().split("\n")[:-1]


def n_digits(text):
    return len(text.partition("e")[0].replace("-", "").replace(".", "").strip("0")) or 1


@example(117187504.0)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_number_is_read_back_to_the_bit_in_as_few_digits_as_numpy_finds(number):
    (text,) = written([number])
    assert np.float32(text).tobytes() == np.float32(number).tobytes()
    assert np.float32(float(text)).tobytes() == np.float32(number).tobytes()
    shortest = str(np.float32(number))
    assert n_digits(text) <= (9 if lies_between(shortest, number) else n_digits(shortest))


def lies_between(text, number):
    """Tell whether a decimal lies so near the middle of two float32 that a reader's rounding would decide."""
    decimal, value = Fraction(text), Fraction(number)
    with np.errstate(over="ignore"):
        near = [float(np.nextafter(np.float32(number), np.float32(end))) for end in (-np.inf, np.inf)]
    middles = [(value + Fraction(other)) / 2 for other in near if np.isfinite(other)]
    return len(middles) < 2 or any(abs(decimal - middle) <= abs(middle) / 2**47 for middle in middles)


def test_powers_of_two_and_their_neighbours_are_read_back_to_the_bit():
    bits = (np.arange(1, 255, dtype=np.uint32)[:, None] << 23) + np.array([-2, -1, 0, 1, 2]).astype(np.uint32)
    numbers = bits.reshape(-1).view(np.float32)
    numbers = np.concatenate((numbers, np.arange(1, 300, dtype=np.uint32).view(np.float32)))
    found = np.array(written(numbers), float).astype(np.float32)
    assert found.tobytes() == numbers.tobytes()
    differ = [(a, b) for a, b in zip(written(numbers), numbers.astype(str), strict=True) if n_digits(a) > n_digits(b)]
    assert len(differ) < 20, differ


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (-0.0, "-0"), (1, "1"), (-2.5, "-2.5"), (0.1, "0.1"), (1 / 3, "0.33333334"), (1e-4, "0.0001"),
     (1e-5, "1e-5"), (-1.25e-7, "-1.25e-7"), (123456792, "123456790"), (1e10, "1e10"), (3.4028235e38, "3.4028235e38"),
     (1e-45, "1e-45"), (65536, "65536"), (16777216, "16777216")],
)  # fmt: skip
def test_numbers_are_written_as_people_write_them(number, text):
    assert written([number]) == [text]


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("width", [1, 5])
def test_import_reads_what_export_wrote(tmp_path, form, width):
    emb = make(width=width, counts=np.arange(3000), labels=[f"Name {i}" for i in range(3000)])
    path = tmp_path / "out"
    emb.export(form, path)
    found = import_vectors(path, form=FORMS.get(form, form))
    assert found.tokens == emb.tokens
    assert found.vectors.tobytes() == emb.vectors.tobytes()
    assert [path] == list(tmp_path.iterdir())


def test_more_rows_than_a_block_holds_are_written_whole(tmp_path):
    emb = Embeddings([f"t{i}" for i in range(40_000)], np.random.default_rng(0).random((40_000, 64), np.float32))
    for form in FILES:
        emb.export(form, tmp_path / form)
        found = import_vectors(tmp_path / form, form=FORMS.get(form, form))
        assert found.tokens == emb.tokens
        assert np.array_equal(found.vectors, emb.vectors)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # gensim leaves a file open
@pytest.mark.parametrize("form", ["word2vec", "word2vec-binary", "glove", "vec"])
def test_gensim_reads_it(tmp_path, form):
    needs("gensim")
    from gensim.models import KeyedVectors

    emb = make(200)
    emb.export(form, tmp_path / "a")
    how = {"binary": form == "word2vec-binary", "no_header": form == "glove"}
    found = KeyedVectors.load_word2vec_format(str(tmp_path / "a"), **how)
    assert found.index_to_key == list(emb.tokens)
    assert found.vectors.tobytes() == emb.vectors.tobytes()


def test_fasttext_learns_from_it(tmp_path):
    fasttext = pytest.importorskip("fasttext")  # built from source, so in no extra that CI installs
    emb = Embeddings(["하나", "two"], np.array([[0.1, -2e-7], [3, 4]], np.float32))
    emb.export("vec", tmp_path / "a.vec")
    (tmp_path / "train.txt").write_text("__label__x 하나 two\n" * 3)
    settings = {"dim": 2, "lr": 0.0, "epoch": 1, "thread": 1, "minCount": 1, "verbose": 0, "bucket": 0}
    model = fasttext.train_supervised(
        str(tmp_path / "train.txt"), pretrainedVectors=str(tmp_path / "a.vec"), **settings
    )
    found = np.array([model.get_input_vector(model.get_word_id(token)) for token in emb.tokens])
    assert np.array_equal(found.astype(np.float32), emb.vectors)


def test_numpy_reads_it_without_pickles(tmp_path):
    emb = make_model()
    emb.export("npz", tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert {name: found[name].tolist() for name in found} == {
            "vectors": emb.vectors.tolist(), "tokens": ["a", "b", "c"], "labels": ["=A", "", "다\t다"],
            "counts": [30, 20, 10],
        }  # fmt: skip


def test_duckdb_reads_it(tmp_path):
    import duckdb

    emb = make_model()
    emb.export("parquet", tmp_path / "a.parquet")
    rows = duckdb.sql(f"SELECT token, vector, label, count FROM '{tmp_path / 'a.parquet'}'").fetchall()
    assert [(row[0], *row[2:]) for row in rows] == [("a", "=A", 30), ("b", None, 20), ("c", "다\t다", 10)]
    assert np.array_equal(np.array([row[1] for row in rows], np.float32), emb.vectors)


@pytest.mark.parametrize("packed", ["zstd", "snappy", "none"])
def test_parquet_is_packed_as_told_and_keys_are_called_so(tmp_path, packed):
    make_model().export("parquet", tmp_path / "a.parquet", vectors="keys", compression=packed)
    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert file.schema_arrow.names == ["key", "vector"]
    chunks = [file.metadata.row_group(0).column(i).compression for i in range(2)]
    assert chunks == [packed.upper().replace("NONE", "UNCOMPRESSED"), "UNCOMPRESSED"]


def test_safetensors_opens_for_everybody_and_holds_nobodys_history(tmp_path):
    from safetensors.numpy import load_file

    emb = make_model()
    emb.export("safetensors", tmp_path / "a.safetensors", vectors="context")
    assert np.array_equal(load_file(tmp_path / "a.safetensors")["vectors"], emb.context_vectors)
    found = load(tmp_path / "a.safetensors")
    assert (found.keys, found.histories, found.context_vectors) == (None, None, None)
    assert found.config["exported"] == {"vectors": "context"}
    assert found.labels == emb.labels


def tensorboard(folder):
    """Return what TensorBoard's projector answers about a folder: its configuration, the tensor, the metadata."""
    needs("tensorboard")
    import werkzeug.test
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin

    plugin = ProjectorPlugin(base_plugin.TBContext(logdir=str(folder)))
    apps = plugin.get_plugin_apps()

    def get(route):
        return werkzeug.test.Client(apps[route]).get(route, query_string={"run": ".", "name": "embedkit"}).data

    return json.loads(get("/info")), np.frombuffer(get("/tensor"), np.float32), get("/metadata").decode()


def test_tensorboard_reads_it(tmp_path):
    emb = make_model()
    assert emb.export("projector", tmp_path / "log") == [
        "1 names held tabs, line breaks or nothing, which would break their line: changed.",
        "Left out: context vectors, histories of 3 keys.",
    ]
    told, tensor, metadata = tensorboard(tmp_path / "log")
    assert told["embeddings"][0]["tensorShape"] == [3, 4]
    assert tensor.tobytes() == emb.vectors.tobytes()
    assert metadata == "token\tlabel\tcount\na\t=A\t30\nb\tb\t20\nc\t다 다\t10\n"


def test_tensorboards_metadata_has_no_header_where_there_are_only_tokens(tmp_path):
    emb = make(20)
    emb.export("projector", tmp_path)
    emb.export("projector", tmp_path)  # into the folder that is there
    _, tensor, metadata = tensorboard(tmp_path)
    assert tensor.tobytes() == emb.vectors.tobytes()
    assert metadata.splitlines() == list(emb.tokens)


def test_a_projector_of_others_is_not_replaced(tmp_path):
    (tmp_path / "projector_config.pbtxt").write_text("embeddings {}")
    with pytest.raises(EmbedkitError, match="embedkit did not write it; name another folder"):
        make(2).export("projector", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="is a file"):
        make(2).export("projector", tmp_path / "file")
    with pytest.raises(ModelError, match="there is no folder"):
        make(2).export("projector", tmp_path / "no" / "log")


def test_the_chosen_vectors_are_written_and_the_rest_is_told(tmp_path):
    emb, path = make_model(), tmp_path / "a"
    assert emb.export("npz", path) == ["Left out: context vectors, histories of 3 keys."]
    assert emb.export("vec", path) == ["Left out: context vectors, histories of 3 keys, labels, counts."]
    assert emb.export("vec", path, vectors="context") == [
        "Left out: input vectors, histories of 3 keys, labels, counts."
    ]
    assert np.array_equal(import_vectors(path, form="vec").vectors, emb.context_vectors)
    assert emb.export("vec", path, vectors="keys") == [
        "Left out: 1 keys without a history, input vectors, context vectors, histories of 3 keys, labels, counts."
    ]
    found = import_vectors(path, form="vec")
    assert list(found.tokens) == ["u1", "u2"]
    assert np.array_equal(found.vectors, [emb.key_vector("u1"), emb.key_vector("u2")])


def test_learned_vectors_of_keys_are_those_written():
    learned = np.eye(2, 4, dtype=np.float32)
    emb = Embeddings(["a"], np.ones((1, 4), np.float32), keys=["u", "v"], key_vectors=learned)
    chosen, without = select(emb, "keys")
    assert (list(chosen.tokens), chosen.vectors.tolist(), without) == (["u", "v"], learned.tolist(), 0)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [("context", "this model has none"), ("keys", "belong to nobody"), ("sideways", "must be one of input, context")],
)
def test_vectors_that_are_not_there(tmp_path, vectors, said):
    with pytest.raises(OptionError, match=said):
        make(2).export("vec", tmp_path / "a", vectors=vectors)
    assert not list(tmp_path.iterdir())


def test_subwords_are_told_as_left_out(tmp_path):
    subwords = Subwords(Ngrams(3, 6, 10), np.ones((10, 4), np.float32), None, "mean")
    vectors = np.ones((1, 4), np.float32)
    emb = Embeddings(["a"], vectors, arrays=subwords.arrays, config={"subwords": subwords.config})
    assert "subwords (no vector for words outside of the vocabulary)" in emb.export("npz", tmp_path / "a")[0]


@pytest.mark.parametrize("form", ["word2vec", "glove", "vec", "word2vec-binary"])
@pytest.mark.parametrize("token", ["two words", "", "a\nb", "tab\there", "nul\0"])
def test_tokens_that_text_cannot_hold_are_refused_or_replaced(tmp_path, form, token):
    path = tmp_path / "a"
    path.write_text("whole")
    emb = Embeddings(["good", token], np.ones((2, 2), np.float32))
    if form == "word2vec-binary" and "\t" in token:
        emb.export(form, path)  # its fields end with a blank alone
        assert import_vectors(path, form=form).tokens == emb.tokens
        return
    with pytest.raises(EmbedkitError, match="cannot"):
        emb.export(form, path)
    assert path.read_text() == "whole"
    if token:
        emb.export(form, path, blanks="_")
        replaced = token.translate(dict.fromkeys(map(ord, " \n\t\0"), "_"))
        assert list(import_vectors(path, form=FORMS.get(form, form)).tokens) == ["good", replaced]


def test_replacements_that_would_garble_are_refused(tmp_path):
    emb = Embeddings(["a b", "a_b"], np.ones((2, 2), np.float32))
    with pytest.raises(OptionError, match="two tokens the same, 'a_b'"):
        emb.export("vec", tmp_path / "a", blanks="_")
    with pytest.raises(OptionError, match="no white space itself"):
        emb.export("vec", tmp_path / "a", blanks=" ")
    emb.export("vec", tmp_path / "a", blanks=r"\0")
    assert list(import_vectors(tmp_path / "a", form="vec").tokens) == [r"a\0b", "a_b"]


def test_white_space_beyond_ascii_is_written_and_told(tmp_path):
    emb = Embeddings(["a\u00a0b", "c\u3000d", "e"], np.ones((3, 2), np.float32))
    (said,) = emb.export("word2vec", tmp_path / "a")
    assert said.startswith(r"'a\xa0b' and 1 more tokens hold white space beyond ASCII's")
    assert import_vectors(tmp_path / "a", form="vec").tokens == emb.tokens


def test_a_first_line_that_looks_like_a_header_is_refused(tmp_path):
    with pytest.raises(EmbedkitError, match="looks like the first line of word2vec"):
        Embeddings(["7"], np.ones((1, 1), np.float32)).export("glove", tmp_path / "a")


def test_what_numpys_strings_lose_is_refused(tmp_path):
    with pytest.raises(EmbedkitError, match="ends with a NUL"):
        Embeddings(["a\0"], np.ones((1, 1), np.float32)).export("npz", tmp_path / "a")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    emb = Embeddings(["a", "b"], np.array([[1, 2], [3, np.nan]], np.float32))
    with pytest.raises(EmbedkitError, match="the vector of 'b' is not finite"):
        emb.export("parquet", tmp_path / "a")


@pytest.mark.parametrize("form", FILES)
def test_targets_that_cannot_be_written(tmp_path, form):
    emb = make(2)
    for target, said in [
        (tmp_path, "is a folder"), (tmp_path / "no" / "a", "there is no folder"), ("/dev/full", "no ordinary file"),
        (tmp_path / ("x" * 300), "too long"),
    ]:  # fmt: skip
        with pytest.raises(ModelError, match=said):
            emb.export(form, target)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_gets_full_leaves_what_was_there(tmp_path):
    make(20_000, counts=np.arange(20_000)).save(tmp_path / "model.safetensors")
    program = """
        import resource, sys
        from pathlib import Path
        import embedkit

        def contents():
            return {path: path.read_bytes() for path in Path(".").rglob("*") if path.is_file()}

        emb = embedkit.load("model.safetensors")
        for form in sys.argv[1:]:
            emb.export(form, f"out-{form}")
        before = contents()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        for form in sys.argv[1:]:
            try:
                emb.export(form, f"out-{form}")
            except embedkit.EmbedkitError as error:
                print(form, error)
        assert before == contents()
    """
    call = [sys.executable, "-c", textwrap.dedent(program), *FILES, "projector"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*FILES, "projector"]
    assert all("cannot be written: File too large" in line for line in lines), done.stdout


def test_an_unknown_format_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'word2vec'"):
        make(2).export("word2vek", "nowhere")
    with pytest.raises(OptionError, match=r"compresion is no option here\. Did you mean 'compression'"):
        make(2).export("parquet", "nowhere", compresion="none")


def test_the_progress_reaches_the_end(tmp_path):
    class Watching(Notes):
        seen = ()

        def progress(self, done, total, **more):
            self.seen = (done, total)

    for form in (*FILES[:-1], "projector"):
        run = Watching()
        assert export(make(3000), form, tmp_path / form, {}, run=run) == 3000
        assert run.seen == (3000, 3000)


def test_a_password_is_never_shown():
    shown = Exporter().shown
    assert shown("postgresql://me:p@ss:w@host/db") == "postgresql://me:***@host/db"
    assert shown("https://host/?api_key=abc&x=1") == "https://host/?api_key=***&x=1"
    assert (
        shown("s3://bucket/x?aws_secret_access_key=a/b&region=c") == "s3://bucket/x?aws_secret_access_key=***&region=c"
    )
    assert shown("host=x password=abc") == "host=x password=***"
    assert shown("vectors/a:b@c.txt") == "vectors/a:b@c.txt"


def test_the_archive_opens_with_any_program(tmp_path):
    make_model().export("npz", tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["vectors.npy", "tokens.npy", "labels.npy", "counts.npy"]
