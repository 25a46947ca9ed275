"""Damaged files that fuzzing found something with, made anew; and readers that are given anything."""

import contextlib
import gzip
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import embedkit
from embedkit import EmbedkitError, ModelError, SourceError
from embedkit.embeddings.file import verify
from embedkit.embeddings.safetensors import CHECKSUM, map_tensors, read_header, write_tensors
from embedkit.evaluation.heldout import read_prefixes
from embedkit.evaluation.word_files import word_test

MODELS = {
    "skipgram": ("text", {"epochs": 1, "vector_size": 4}),
    "fasttext": ("text", {"epochs": 1, "vector_size": 4, "bucket": 40}),
    "doc2vec": ("sessions", {"epochs": 1, "vector_size": 4}),
    "als": ("sessions", {"epochs": 1, "vector_size": 4}),
    "spectral": ("sessions", {"vector_size": 4}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Give the path of a model of each trainer."""
    folder = tmp_path_factory.mktemp("whole")
    for name, (source, options) in MODELS.items():
        embedkit.train(source, name, **options).save(folder / f"{name}.safetensors")
    return folder


def altered(path, out, tensors=None, config=None):
    """Write a model with other arrays, or another configuration, and the checksum that goes with them."""
    header = read_header(path)
    arrays = {name: np.array(array) for name, array in map_tensors(path, header).items()}
    described = json.loads(header.metadata["embedkit"])
    described["config"] = {**described["config"], **(config or {})}
    with open(out, "wb") as file:
        write_tensors(file, {**arrays, **(tensors or {})}, {"embedkit": json.dumps(described)})
    return out


def ask(path):
    """Ask a model everything."""
    emb = embedkit.load(path)
    first, last = emb.tokens[0], emb.tokens[len(emb) - 1]
    emb.most_similar(first, topn=3)
    emb.recommend(history=[first, last], topn=3)
    if emb.subwords is not None:
        emb.most_similar("kingdoms")


ALTERED = [
    ("doc2vec", {"arrays.noise": np.array([196608], np.int32)}, {}, "is damaged"),
    ("doc2vec", {"arrays.noise": np.empty(0, np.int32)}, {}, "has no noise"),
    ("doc2vec", {}, {"fold_in": {"architecture": "dbow"}}, "is damaged"),
    ("als", {"arrays.gramian": np.zeros((4, 4))}, {"fold_in": {"regularization": 0}}, "is damaged"),
    ("als", {"arrays.gramian": np.zeros((3, 5))}, {}, "is damaged"),
    ("als", {}, {"fold_in": "x"}, "lacks what|is damaged"),
    ("skipgram", {}, {"recency": "x"}, "is damaged"),
    ("skipgram", {"vectors": np.full((737, 4), 3e38, np.float32)}, {}, "is not finite"),
    ("skipgram", {"vectors": np.full((737, 4), np.inf, np.float32)}, {}, "is not finite"),
    ("fasttext", {"arrays.subword_vectors": np.zeros((40, 5), np.float32)}, {}, "table of n-grams is damaged"),
    ("fasttext", {"arrays.subword_buckets": np.zeros((40, 1), np.int32)}, {}, "table of n-grams is damaged"),
]


@pytest.mark.parametrize(("trainer", "tensors", "config", "message"), ALTERED)
def test_models_altered_with_the_right_checksum(trainer, tensors, config, message, whole, tmp_path):
    path = altered(whole / f"{trainer}.safetensors", tmp_path / "m.safetensors", tensors, config)
    with pytest.raises(EmbedkitError, match=message):
        ask(path)


def test_an_error_is_one_line_of_bounded_length():
    error = EmbedkitError(f"the score {'9' * 5000}\nis too long")
    assert len(str(error)) < 1100
    assert "\n" not in str(error)
    assert str(error).startswith("the score 9")
    assert str(error).endswith("is too long")


def header_of_npy(descr, shape, rest=b""):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}}}".encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + rest


@pytest.mark.parametrize(
    "content",
    [
        header_of_npy("<U2", (3,), b"\xff" * 24),
        header_of_npy("<U1", (1,), (0xD800).to_bytes(4, "little")),
        header_of_npy("<U5", (2**62, 2**62)),
        header_of_npy("<U5", (0, 2**62)),
        header_of_npy("<i8", (2**63,)),
        header_of_npy("<f4", ()),
        header_of_npy("<f4", (1,) * 40, bytes(4)),
        header_of_npy("|O", (3,), b"\x80\x04."),
        b"\x93NUMPY\x01\x00" + (3000).to_bytes(2, "little") + b"(" * 3000,
    ],
)
@pytest.mark.parametrize("what", ["keys", "vectors"])
def test_arrays_whose_header_or_content_lies(what, content, tmp_path):
    (tmp_path / f"{what}.npy").write_bytes(content)
    other = "vectors" if what == "keys" else "keys"
    np.save(tmp_path / f"{other}.npy", np.eye(3, dtype=np.float32) if other == "vectors" else np.array(["a", "b", "c"]))
    with pytest.raises(ModelError):
        embedkit.import_vectors(tmp_path / "vectors.npy", keys=tmp_path / "keys.npy")


def test_a_fasttext_matrix_of_no_rows_and_endless_columns(tmp_path):
    from fasttext_files import drawn, matrix, model_bytes

    whole = model_bytes(["a"], drawn(51, 3), drawn(1, 3))
    at = len(whole) - len(matrix(drawn(1, 3))) + 1
    (tmp_path / "m.bin").write_bytes(whole[:at] + (0).to_bytes(8, "little") + (2**62).to_bytes(8, "little"))
    with pytest.raises(ModelError, match="the size of a matrix is none"):
        embedkit.import_vectors(tmp_path / "m.bin")


@pytest.mark.parametrize("name", ["v.csv", "v.parquet"])
def test_tables_with_names_that_are_no_text(name, tmp_path):
    import pandas as pd

    path = tmp_path / name
    frame = pd.DataFrame({"key": ["a", "b"], "xxxx": [1.0, 2.0], "yyyy": [0.5, 1.5]})
    frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)
    path.write_bytes(path.read_bytes().replace(b"xxxx", b"\xff\xfe\xb4\x80"))
    with pytest.raises(ModelError):
        embedkit.import_vectors(path)


@pytest.mark.parametrize("kind", ["vectors", "edges"])
def test_parquet_whose_text_is_no_utf8(kind, tmp_path):
    import pandas as pd

    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"source": ["aaaa", "b"], "target": ["c", "d"]})
    if kind == "vectors":
        frame = pd.DataFrame({"key": ["aaaa", "b"], "vector": [[1.0], [2.0]]})
    frame.to_parquet(path, compression=None, use_dictionary=False, write_statistics=False, store_schema=False)
    assert path.read_bytes().count(b"aaaa") == 1
    path.write_bytes(path.read_bytes().replace(b"aaaa", b"a\xb0aa"))
    with pytest.raises(EmbedkitError, match=r"damaged|cannot be read"):
        embedkit.import_vectors(path) if kind == "vectors" else embedkit.read("graph", input=str(path))


@pytest.mark.parametrize("index", [255, -1, 2**31 - 1])
def test_a_matlab_file_whose_indices_lead_out_of_it(index, tmp_path):
    import scipy.io
    import scipy.sparse

    graph = scipy.sparse.csc_array((np.ones(3), ([0, 1, 2], [1, 2, 0])), shape=(3, 3))
    scipy.io.savemat(tmp_path / "g.mat", {"network": graph})
    content = (tmp_path / "g.mat").read_bytes()
    indices = np.array([2, 0, 1], np.int32).tobytes()
    assert content.count(indices) == 1
    damaged = content.replace(indices, np.array([2, index, 1], np.int32).tobytes())
    (tmp_path / "g.mat").write_bytes(damaged)
    with pytest.raises(SourceError, match="is damaged or none"):
        embedkit.read("graph", input=str(tmp_path / "g.mat"))


def test_a_matlab_file_that_ends_the_process_that_reads_it(tmp_path):
    beginning = b"MATLAB 5.0 MAT-file" + b" " * 105 + b"\x00\x01IM"
    (tmp_path / "g.mat").write_bytes(beginning + b"\x0e\0\0\0\xff\xff\xff\x7f")
    with pytest.raises(SourceError, match="is damaged or none"):
        embedkit.read("graph", input=str(tmp_path / "g.mat"))


def test_times_beyond_all_years(tmp_path):
    (tmp_path / "s.csv").write_text("user,item,time\nu,i,1e22\nu,j,-1e300\nu,k,1700000000\n")
    with pytest.raises(SourceError, match="time"):
        embedkit.read("sessions", input=str(tmp_path / "s.csv"))


def test_headers_that_python_would_make_gigabytes_of(tmp_path):
    path = tmp_path / "m.safetensors"
    for piece in (b"[],", b'{"a":'):
        text = b'{"a":[' + piece * (9_000_000 // len(piece))
        path.write_bytes(len(text).to_bytes(8, "little") + text)
        with pytest.raises(ModelError):
            embedkit.load(path)


def test_a_word_that_is_longer_than_memory(tmp_path):
    with gzip.open(tmp_path / "t.txt.gz", "wb", 1) as file:
        file.write(b"w" * (40 << 20))
    with pytest.raises(SourceError, match="has 32 MB without a space"):
        embedkit.read("text", input=str(tmp_path / "t.txt.gz"))


@pytest.mark.parametrize("line", [b"x" * 70_000, b"\n" * 70_000 + b"x,y", b"," * 70_000])
def test_tables_whose_first_line_does_not_end(line, tmp_path):
    (tmp_path / "t.csv").write_bytes(line)
    with pytest.raises(SourceError):
        embedkit.read("sessions", input=str(tmp_path / "t.csv"))


texts = st.binary(max_size=300) | st.text(max_size=200).map(str.encode)
READERS = {
    "model": ("m.safetensors", embedkit.load),
    "verify": ("m.safetensors", verify),
    "vec": ("m.vec", embedkit.import_vectors),
    "word2vec": ("m.bin", embedkit.import_vectors),
    "npz": ("m.npz", embedkit.import_vectors),
    "csv": ("m.csv", embedkit.import_vectors),
    "prefixes": ("m.txt", read_prefixes),
    "graph": ("m.txt", lambda path: embedkit.read("graph", input=str(path), walks_per_node=1, walk_length=3)),
    "lines": ("m.txt", lambda path: embedkit.read("sessions", input=str(path), layout="lines")),
    "text": ("m.txt", lambda path: embedkit.read("text", input=str(path))),
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_of_anything(reader, tmp_path):
    name, read = READERS[reader]

    @settings(max_examples=15, database=None)
    @given(texts)
    def holds(content):
        (tmp_path / name).write_bytes(content)
        with contextlib.suppress(EmbedkitError):
            read(tmp_path / name)

    holds()


@settings(max_examples=150)
@given(st.data())
def test_a_model_damaged_anywhere_is_refused_or_whole(whole, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    content = bytearray((whole / "als.safetensors").read_bytes())
    at = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 900))
    content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    (folder / "damaged.safetensors").write_bytes(content)
    same = bytes(content) == (whole / "als.safetensors").read_bytes()
    try:
        embedkit.load(folder / "damaged.safetensors")
        verify(folder / "damaged.safetensors")
    except EmbedkitError:
        assert not same
    else:
        assert same


def test_word_tests_of_anything(whole, tmp_path):
    emb = embedkit.load(whole / "skipgram.safetensors")

    @settings(max_examples=20, database=None)
    @given(texts)
    def holds(content):
        (tmp_path / "q.txt").write_bytes(content)
        with contextlib.suppress(EmbedkitError):
            word_test(emb, tmp_path / "q.txt")

    holds()


STATES = [
    ({"keys": np.zeros((2, 2), np.float32)}, "for 'keys' it holds float32 of 2 × 2 instead of"),
    ({"tokens": None}, "for 'tokens' it holds nothing"),
    ({"losses": np.zeros(9)}, "there are 3 epochs"),
    ({"tokens": "nan"}, "'tokens' holds numbers that no training gives"),
]


@pytest.mark.parametrize(("change", "message"), STATES)
def test_states_of_another_shape(change, message, tmp_path):
    corpus = embedkit.Corpus.from_sentences([["a", "b"], ["b", "c"], ["c", "a"]])
    checkpoint = embedkit.Checkpoint(tmp_path, every="1epoch", resume=True)
    options = {"vector_size": 4, "epochs": 3, "checkpoint": checkpoint}
    embedkit.train(corpus, "als", **options)
    path = checkpoint.path
    header = read_header(path)
    arrays = {name: np.array(array) for name, array in map_tensors(path, header).items()}
    for name, value in change.items():
        if isinstance(value, str):
            arrays[name][0, 0] = np.nan
        elif value is None:
            del arrays[name]
        else:
            arrays[name] = value
    made = io.BytesIO()
    write_tensors(made, arrays, {name: value for name, value in header.metadata.items() if name != CHECKSUM})
    path.write_bytes(made.getvalue())
    with pytest.raises(EmbedkitError, match=message) as caught:
        embedkit.train(corpus, "als", **options)
    assert "model" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x", b"{" * 99, (2**63).to_bytes(8, "little") + b"{}"])
def test_a_state_that_is_none_is_called_a_state(content, tmp_path):
    from embedkit.checkpoints import _read

    (tmp_path / "state.safetensors").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        _read(tmp_path / "state.safetensors")
    assert "model" not in str(caught.value)
    assert "Remove it" in str(caught.value) or "no state" in str(caught.value)


def test_an_archive_whose_names_are_not_utf8(tmp_path):
    path = tmp_path / "v.npz"
    np.savez(path, vectors=np.ones((2, 2), np.float32), tokenså=np.array(["a", "b"]))
    path.write_bytes(path.read_bytes().replace("tokenså".encode(), b"tokens\xab\xab"))
    with pytest.raises(ModelError, match=r"v\.npz is damaged or no \.npz file"):
        embedkit.import_vectors(str(path))
