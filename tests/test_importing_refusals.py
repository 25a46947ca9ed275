"""Files of vectors that are broken, lie or do not fit: one line each."""

import gzip

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file
from vector_files import TOKENS, VECTORS, refused, same, write_keys, write_npy, write_parquet, write_word2vec

from embedkit import Embeddings, OptionError
from embedkit.embeddings.importing import import_vectors


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_keys_that_do_not_fit():
    write_npy()
    refused("name their tokens, a line a row, with --keys", "v.npy")
    refused("keys.txt has 4 keys and v.npy has 5 vectors", "v.npy", keys=write_keys(TOKENS[:4]))
    refused("Is its first line a header", "v.npy", keys=write_keys(["token", *TOKENS]))
    refused("'007' stands twice in v.npy, in rows 1 and 4", "v.npy", keys=write_keys(["007", *TOKENS[1:]]))
    refused("the key of row 2 of v.npy is empty", "v.npy", keys=write_keys(["a", "", "b", "c", "d"]))
    refused("there is no column|has no columns", "v.npy", keys=write_keys(), token_column="token")
    refused("cannot be read: No such file", "v.npy", keys="none.txt")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("k.txt", b"a\n\xff\n", "line 2 is not UTF-8"),
        ("k.json", b"{", "is no JSON"),
        ("k.json", b'"a"', "must hold a list of strings"),
        ("k.json", b"[1.5]", "must hold a list of strings"),
        ("k.json", b'{"a": 0, "b": 2}', "must number the rows from 0 to 1"),
        ("k.csv", b"a,b\nx,y\n", "say which column of k.csv holds the tokens"),
        ("k.csv", b"", "is no CSV file"),
        ("k.parquet", b"PAR1", "is no Parquet file"),
        ("k.npy", b"\x93NUMPY", "no array of NumPy's"),
        ("k.npy", b"", "no array of NumPy's"),
        ("k.npy", b"PK\x03\x04", r"is an archive \(.npz\)"),
    ],
)
def test_files_that_are_no_keys(name, content, message):
    with open(name, "wb") as file:
        file.write(content)
    refused(message, write_npy(), keys=name)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_numbers_that_are_not_finite_are_told_by_token_and_row(value):
    vectors = VECTORS.astype(np.float64)
    vectors[3, 1] = value
    told = refused("holds a number that is missing, not finite", write_npy(vectors), keys=write_keys())
    assert "'007' (row 4 of v.npy)" in told
    lists = pa.array([row.tolist() for row in vectors])
    refused(r"'007' \(row 4", write_parquet({"id": TOKENS, "v": lists}))
    if value != 1e39:
        refused(r"'007' \(row 4", write_word2vec(vectors=vectors))


def test_pickles_are_refused_and_never_run(folder):
    np.save("o.npy", np.array([{"a": 1}, 2], object))
    refused("pickled Python objects, which could run any code", "o.npy", keys=write_keys())
    (folder / "p.npy").write_bytes(b"\x80\x04\x95\x10")
    refused("is a pickle, which could run any code", "p.npy", keys=write_keys())
    (folder / "p.pkl").write_bytes(b"\x80\x04\x95\x10")
    refused("is a pickle", "p.pkl")
    np.savez("o.npz", v=VECTORS, names=np.array(TOKENS, object))
    refused("save the tokens as", "o.npz")
    same(import_vectors("o.npz", keys=write_keys()))


@pytest.mark.parametrize(
    "array",
    [
        np.array(TOKENS),
        np.ones((2, 2), complex),
        np.ones((5, 3), bool),
        np.ones(5),
        np.ones((5, 3, 1)),
        np.ones((0, 3)),
    ],
)
def test_arrays_that_are_no_vectors(array):
    refused("not numbers|must be a matrix|is empty", write_npy(array), keys=write_keys())


@pytest.mark.parametrize("kept", [3, 20, 100, -1])
def test_truncated_files(folder, kept):
    np.savez("v.npz", v=VECTORS, names=np.array(TOKENS))
    save_file({"w": VECTORS}, "v.safetensors")
    files = [write_npy(), "v.npz", write_parquet({"id": TOKENS, "v": list(VECTORS)}), write_word2vec(line_end=b"")]
    for name in [*files, "v.safetensors"]:
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw[: min(kept, len(raw) - 1)])
        keys = write_keys() if name in ("v.npy", "v.safetensors") else None
        refused("cut short|damaged|no binary file|truncated|does not begin like", name, keys=keys)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"5000000000 3\n", "cut short or no binary file"),
        (b"5 3000000000\n", "cut short or no binary file"),
        (b"4 3\n", "holds more than the 4 vectors"),
        (b"0 3\n", "is empty"),
        (b"five 3\n", "does not begin with how many vectors"),
        (b"-5 3\n", "does not begin with how many vectors"),
    ],
)
def test_a_first_line_that_lies(header, message):
    refused(message, write_word2vec(header=header, line_end=b""))


def test_a_header_of_numpy_that_lies(folder):
    raw = (folder / write_npy()).read_bytes()
    (folder / "v.npy").write_bytes(raw.replace(b"(5, 3)", b"(5000000000000, 3)")[: len(raw)])
    refused("cut short|damaged", "v.npy", keys=write_keys())


def test_tables_that_do_not_fit():
    lists = [row.tolist() for row in VECTORS]
    refused("row 3 of v.parquet has a vector of 2 numbers, those before have 3",
            write_parquet({"id": TOKENS, "v": [*lists[:2], [1.0, 2.0], *lists[3:]]}))  # fmt: skip
    refused("row 2 of v.parquet has no vector", write_parquet({"id": TOKENS, "v": [lists[0], None, *lists[2:]]}))
    refused("row 2 of v.parquet has no 'id'", write_parquet({"id": ["a", None, "b", "c", "d"], "v": lists}))
    refused("which column of v.parquet holds the tokens", write_parquet({"a": TOKENS, "b": TOKENS, "v": lists}))
    refused("which column of v.parquet holds the vectors", write_parquet({"a": TOKENS, "v": lists, "w": lists}))
    refused("holds no vectors|has no rows", write_parquet({"a": pa.array([], pa.string()), "b": pa.array([], "f4")}))
    write_parquet({"id": TOKENS, "v": lists})
    refused("has no column 'vv'. Did you mean 'v'", "v.parquet", vector_columns="vv")
    refused("column 'id' of v.parquet holds string; ", "v.parquet", vector_columns="id")


def test_files_that_are_none(folder):
    refused("there is no file", "none.npy")
    refused("is a folder", folder)
    (folder / "empty.npy").touch()
    refused("is empty", "empty.npy")
    (folder / "v.xyz").write_text("x")
    refused("tells no format; name it with --from", "v.xyz")
    with pytest.raises(OptionError, match="Did you mean 'parquet'"):
        import_vectors("v.xyz", form="parket")


def test_a_model_with_users_is_not_scaled():
    model = Embeddings(TOKENS, VECTORS, keys=["u"], key_vectors=VECTORS[:1])
    model.save("m.safetensors")
    refused("cannot be scaled: leave out --unit", "m.safetensors", unit=True)
    assert list(import_vectors("m.safetensors").keys) == ["u"]


@pytest.mark.parametrize("name", ["v.vec.gz", "v.vec", "v.csv"])
def test_packed_files_are_to_be_unpacked(folder, name):
    (folder / name).write_bytes(gzip.compress(b"1 2\na 1 2\n"))
    refused("is packed with gzip; unpack it", name)


@pytest.mark.parametrize("shape", [b"(-5, 3)", b"(True, 3)", b"(5, 3, "])
def test_shapes_that_are_none(folder, shape):
    raw = (folder / write_npy()).read_bytes()
    (folder / "v.npy").write_bytes(raw.replace(b"(5, 3), }" + b" " * 9, shape.ljust(7) + b", }" + b" " * 8))
    refused("header is damaged", "v.npy", keys=write_keys())


def test_columns_of_csv_that_do_not_fit(folder):
    (folder / "v.csv").write_text("word,a,b\nx,1,2\ny,,4\n")
    refused(r"'y' \(row 2 of v.csv\) holds a number that is missing", "v.csv", vector_columns=["a", "b"])
    refused("column 'a' of v.csv would be read twice", "v.csv", vector_columns=["a", "a"])
    refused("column 'a' of v.csv would be read twice", "v.csv", vector_columns="a", token_column="a")
    (folder / "v.csv").write_text("word,a,a\nx,1.5,2\ny,3,4\n")
    refused("v.csv has several columns named 'a'", "v.csv")
    refused("v.csv has several columns named 'a'", "v.csv", vector_columns="a")
    (folder / "v.csv").write_text("word,a\nx,1\ny,2\n" + "z,?\n")
    refused("holds string; a vector", "v.csv", token_column="word", vector_columns="a")
