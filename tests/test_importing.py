"""Vectors made elsewhere: every format gives the same embeddings."""

import json
import mmap
import struct
import zipfile
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save_file
from vector_files import TOKENS, VECTORS, refused, same, write_keys, write_npy, write_parquet, write_word2vec

from embedkit import Embeddings, load
from embedkit.cli import importing
from embedkit.cli.app import app
from embedkit.cli.failures import explain
from embedkit.embeddings.importing import FORMATS, import_vectors
from embedkit.embeddings.importing.rows import Rows, blocks_of, unit_rows


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_npy_stays_in_its_file():
    emb = import_vectors(write_npy(), keys=write_keys())
    same(emb)
    base = emb.vectors
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)
    assert emb.config["imported"] == {"format": "npy", "unit": False}
    assert emb.recommend(history=["007"], topn=2)


@pytest.mark.parametrize("kind", ["f8", "f2", ">f4", "i2", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_of_other_types_become_float32_and_that_is_said(kind, order):
    vectors = np.asarray(np.abs(VECTORS) * 50, kind, order=order)
    said = []
    emb = import_vectors(write_npy(vectors), keys=write_keys(), say=said.append)
    same(emb, vectors=vectors.astype(np.float32))
    assert [line.split(" holds ")[1].split(";")[0] for line in said] == ([] if kind == ">f4" else [np.dtype(kind).name])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("k.txt", "\ufeff" + "\r\n".join(TOKENS)),
        ("k.json", json.dumps(TOKENS)),
        ("k.json", json.dumps({token: row for row, token in reversed([*enumerate(TOKENS)])})),
        ("k.tsv", "n\ttoken\n" + "".join(f"{n}\t{token}\n" for n, token in enumerate(TOKENS))),
        ("k.csv", "token\n" + "".join(f'"{token}"\n' for token in TOKENS)),
    ],
)
def test_keys_come_in_lines_json_and_tables(name, content):
    with open(name, "w", encoding="utf-8", newline="") as file:
        file.write(content)
    same(import_vectors(write_npy(), keys=name))


def test_keys_come_in_parquet_and_arrays_of_strings():
    same(import_vectors(write_npy(), keys=write_parquet({"n": [1.0] * 5, "t": TOKENS}), token_column="t"))
    np.save("k.npy", np.array(TOKENS))
    same(import_vectors(write_npy(), keys="k.npy"))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(save):
    save("v.npz", emb=VECTORS, names=np.array(TOKENS))
    same(import_vectors("v.npz"))
    save("v.npz", a=VECTORS, b=np.asfortranarray(2 * VECTORS), n=np.array(TOKENS), m=np.array(TOKENS[::-1]))
    refused(r"holds several matrices \(a, b\): name the array of vectors with --vector-column", "v.npz")
    refused("several arrays of strings to be the tokens", "v.npz", vector_columns="b")
    same(import_vectors("v.npz", vector_columns="b", token_column="n"), vectors=2 * VECTORS)
    same(import_vectors("v.npz", vector_columns="a", keys=write_keys()))


def test_headers_that_python_2_wrote_are_read_without_a_warning():
    with zipfile.ZipFile("v.npz", "w") as archive:
        for name, array in (("v", VECTORS), ("names", np.array(TOKENS))):
            np.save("a.npy", array)
            old = Path("a.npy").read_bytes().replace(b"(5, 3), } ", b"(5L, 3), }").replace(b"(5,), } ", b"(5L,), }")
            assert b"5L" in old
            archive.writestr(f"{name}.npy", old)
    same(import_vectors("v.npz"))


def test_parquet_with_lists_of_any_kind():
    lists = pa.array([row.tolist() for row in VECTORS], pa.list_(pa.float32()))
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 3)
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(VECTORS)
    for column in (lists, fixed, lists.cast(pa.large_list(pa.float64())), tensor):
        same(import_vectors(write_parquet({"id": TOKENS, "v": column, "n": [1, 2, 3, 4, 5]})))
    dictionary = pa.array(TOKENS).dictionary_encode()
    same(import_vectors(write_parquet({"id": dictionary, "v": lists})))
    same(import_vectors(write_parquet({"v": lists}), keys=write_keys()))
    numbers = write_parquet({"id": [7, 3, 5, 1, 2], "v": lists})
    same(import_vectors(numbers), ["7", "3", "5", "1", "2"])


def test_tables_of_many_columns():
    columns = {f"d{i}": VECTORS[:, i] for i in range(3)}
    said = []
    same(import_vectors(write_parquet({"id": TOKENS, "year": [1] * 5, **columns}), say=said.append))
    assert said == ["the vectors are 3 columns of numbers, d0 to d2; left aside: year."]
    lines = [",".join([f'"{token}"', *map(repr, map(float, row))]) for token, row in zip(TOKENS, VECTORS, strict=True)]
    with open("v.csv", "w", encoding="utf-8") as file:
        file.write("\n".join(["word,a,b,c", *lines]) + "\n")
    same(import_vectors("v.csv"))
    same(import_vectors("v.csv", vector_columns=["c", "a"]), vectors=VECTORS[:, [2, 0]])


def test_a_column_without_a_name_may_hold_the_tokens(folder):
    (folder / "v.csv").write_text(",a,b\nx,0.5,1\ny,2,-0.5\n")  # as pandas writes an index
    same(import_vectors("v.csv"), ["x", "y"], [[0.5, 1], [2, -0.5]])


def test_numbers_without_a_name_are_no_part_of_the_vectors(folder):
    (folder / "v.csv").write_text(",word,a,b\n0,x,0.5,1\n1,y,2,-0.5\n")  # pandas' index of a table without one
    said = []
    same(import_vectors("v.csv", say=said.append), ["x", "y"], [[0.5, 1], [2, -0.5]])
    assert said == ["the vectors are 2 columns of numbers, a to b; left aside: one without a name."]


def test_ids_in_csv_are_the_text_in_the_file():
    with open("v.csv", "w", encoding="utf-8") as file:
        file.write("id,a\n007,.5\n08,1e0\n")
    same(import_vectors("v.csv"), ["007", "08"], [[0.5], [1]])


def test_safetensors_of_strangers():
    save_file({"w": VECTORS, "bias": VECTORS[0]}, "v.safetensors")
    same(import_vectors("v.safetensors", keys=write_keys()))
    save_file({"a": VECTORS.astype(np.float16), "b": VECTORS}, "v.safetensors")
    refused("holds 2 matrices", "v.safetensors", keys=write_keys())
    half = VECTORS.astype(np.float16).astype(np.float32)
    same(import_vectors("v.safetensors", keys=write_keys(), vector_columns="a"), vectors=half)
    refused("has no tensor 'c'. It has: ", "v.safetensors", keys=write_keys(), vector_columns="c")


def test_bfloat16_is_the_upper_half_of_float32():
    upper = (VECTORS.view(np.uint32) >> 16).astype("<u2")
    header = json.dumps({"w": {"dtype": "BF16", "shape": [5, 3], "data_offsets": [0, 30]}}).encode()
    with open("v.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(header) + len(header) % 2) + header + b" " * (len(header) % 2))
        file.write(upper.tobytes())
    expected = (upper.astype(np.uint32) << 16).view(np.float32)
    same(import_vectors("v.safetensors", keys=write_keys()), vectors=expected)


def test_a_model_of_embedkit_comes_as_it_is():
    Embeddings(TOKENS, VECTORS, counts=range(5), context_vectors=2 * VECTORS).save("m.safetensors")
    emb = import_vectors("m.safetensors")
    same(emb)
    assert np.array_equal(emb.context_vectors, 2 * VECTORS)
    refused("holds its tokens itself", "m.safetensors", keys=write_keys())
    refused("cannot be scaled", "m.safetensors", unit=True)


@pytest.mark.parametrize("line_end", [b"", b"\n"])
def test_word2vec_binary(line_end):
    expected = [token.replace(" ", "_") for token in TOKENS]
    same(import_vectors(write_word2vec(line_end=line_end)), expected)
    same(import_vectors(write_word2vec(name="other", line_end=line_end), form="word2vec-binary"), expected)


def test_vec():
    with open("v.vec", "w", encoding="utf-8") as file:
        file.write("2 2\na 1 2\nb .5 -3\n")
    same(import_vectors("v.vec"), ["a", "b"], [[1, 2], [0.5, -3]])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.floats(-9, 9, width=32)))
def test_what_numpy_and_word2vec_wrote_comes_back(vectors):
    tokens = [f"t{i}" for i in range(len(vectors))]
    same(import_vectors(write_npy(vectors), keys=write_keys(tokens)), tokens, vectors)
    same(import_vectors(write_word2vec(tokens, vectors)), tokens, vectors)


def test_unit_vectors():
    vectors = np.vstack((VECTORS[:4] * 1e15, np.zeros((1, 3), np.float32)))
    said = []
    emb = import_vectors(write_npy(vectors), keys=write_keys(), unit=True, say=said.append)
    assert np.linalg.norm(emb.vectors, axis=1) == pytest.approx([1, 1, 1, 1, 0], abs=1e-6)
    assert said == ["1 of the vectors are all zeros and stay so."]


def test_rows_are_gathered_over_blocks():
    big = np.arange(3_000_000, dtype=np.float64).reshape(-1, 2)
    assert len([*blocks_of(big)]) == 2
    with Rows() as rows:
        for block in blocks_of(big):
            rows.append(block)
        matrix = rows.matrix()
    assert np.array_equal(matrix, big.astype(np.float32))
    assert unit_rows(big[:2])[1] == 0


def test_scaling_keeps_losses():
    Embeddings(TOKENS, VECTORS, losses=[2.0, 1.0]).save("m.safetensors")
    assert import_vectors("m.safetensors", unit=True).losses == (2.0, 1.0)


def test_arrays_in_an_archive_may_lack_the_ending():
    np.save("a.npy", VECTORS)
    np.save("b.npy", np.array(TOKENS))
    with zipfile.ZipFile("v.npz", "w") as archive:
        archive.write("a.npy", "vectors")
        archive.write("b.npy", "tokens")
    same(import_vectors("v.npz"))
    with zipfile.ZipFile("v.npz", "a") as archive:
        archive.write("b.npy", "tokens.npy")
    refused("has two arrays named 'tokens'", "v.npz")


def test_a_column_of_whole_numbers_in_csv_is_part_of_the_vectors(folder):
    (folder / "v.csv").write_text("word,a,b,c\nx,0,.5,1\ny,0,2,3\n")
    said = []
    same(import_vectors("v.csv", say=said.append), ["x", "y"], [[0, 0.5, 1], [0, 2, 3]])
    assert said == ["the vectors are 3 columns of numbers, a to c."]
    (folder / "v.csv").write_text("id,a,b\n07,0,.5\n08,0,2\n")
    same(import_vectors("v.csv", token_column="id"), ["07", "08"], [[0, 0.5], [0, 2]])


def run(*args):
    return CliRunner().invoke(app, list(args))


def test_import_writes_a_model_that_answers(folder):
    done = run("import", write_npy(), "--keys", write_keys(), "--unit", "--output", "m.safetensors")
    assert done.exit_code == 0, done.stderr
    assert "Wrote m.safetensors" in done.stderr
    assert "imported" in done.stderr
    assert np.linalg.norm(load("m.safetensors").vectors, axis=1) == pytest.approx(np.ones(5))
    assert "cosine" in run("similar", "007", "--model", "m.safetensors").stdout
    assert run("recommend", "--item", "007", "--model", "m.safetensors", "--format", "json").exit_code == 0
    assert "imported:" in run("info", "--model", "m.safetensors").stdout


def test_import_refuses_in_one_line_and_replaces_nothing(folder):
    write_npy()
    result = run("import", "v.npy", "--output", "v.npy")
    assert result.exit_code == 1
    assert np.array_equal(np.load("v.npy"), VECTORS)
    result = run("import", "v.npy")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert not (folder / "embedkit.safetensors").exists()
    assert run("import", "v.npy", "--from", "nothing").exit_code == 2


def test_a_file_of_keys_that_is_empty_is_no_interruption(folder):
    write_npy()
    (folder / "k.npy").touch()
    result = run("import", "v.npy", "--keys", "k.npy")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    aborted = click.Abort()
    aborted.__cause__ = EOFError()
    assert explain(aborted) == ("a file ended too early; is it empty or cut short?", 1)
    assert explain(click.Abort())[1] == 130


def test_the_command_names_all_formats():
    assert set(importing._FORMATS) == set(FORMATS)
