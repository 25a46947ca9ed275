"""Edges come through whole from every kind of input; nodes keep the text of the file."""

import bz2
import gzip
import io
import lzma
import sys
from itertools import pairwise

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import mmwrite, savemat

import embedkit
from embedkit.options import build
from embedkit_graph import GraphWalks, Options
from embedkit_graph.graph import Findings
from embedkit_graph.inputs import Settings, read_edges
from embedkit_graph.mat import MatFile
from embedkit_graph.sample import CLUBS


def edges(given, **options):
    """Return edges as they were listed, with their weights where they have any."""
    listed, _ = read_edges(given, Settings(**options), Findings())
    names = listed.names.to_pylist()
    pairs = [(names[s], names[t]) for s, t in zip(listed.sources, listed.targets, strict=True)]
    if listed.weights is None:
        return pairs
    return [(*pair, float(weight)) for pair, weight in zip(pairs, listed.weights, strict=True)]


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "source,target\n007,Ära\nÄra,a b\n"),
        ("a.csv", '"007","Ära"\n"Ära","a b"\n'),
        ("a.csv", "\ufeffsource,target\r\n007,Ära\r\nÄra,a b\r\n"),
        ("a.tsv", "007\tÄra\nÄra\ta b\n"),
        ("a.tsv", "# FromNodeId\tToNodeId\n# Nodes: 3\n007\tÄra\n\nÄra\ta b"),
        ("a.txt", "target;source\nÄra;007\na b;Ära\n"),
        ("a.txt", "007::Ära\nÄra::a b\n"),
        ("a.txt", "source,target\n007,Ära\nÄra,a b\n"),
        ("a.txt", "u|v|x\n007 |A\u0308ra| 3\nÄra|a b|4\n"),
    ],
)
def test_delimited_text(write, name, text):
    options = {"delimiter": "::"} if "::" in text else {}
    assert edges(write(name, text), **options) == [("007", "Ära"), ("Ära", "a b")]


@pytest.mark.parametrize(
    "text",
    [
        "1 2\n02   1\n",
        "% comment\n1\t2\n# comment\n02  1  \n",
        "  1 2\n02 1",
        "from to\n1 2\n02 1\n",
        "1 2 {}\n02 1 {}\n",
        "1 2 {'weight': 3, 'since': 1999}\n02 1 {'weight': 0.5}\n",
        "1 2 3\r\n02 1 0.5\r\n",
    ],
)
def test_text_parted_by_white_space(write, text):
    path = write("a.edgelist", text)
    assert edges(path, weighted=False) == [("1", "2"), ("02", "1")]
    if "3" in text:
        assert edges(path, weighted=True) == [("1", "2", 3.0), ("02", "1", 0.5)]


def test_networkx_writes_and_embedkit_reads(tmp_path):
    network = nx.Graph()
    network.add_edge("a", "b", weight=2.0)
    network.add_edge("b", "c", weight=4.0)
    nx.write_edgelist(network, tmp_path / "a.edgelist")
    nx.write_weighted_edgelist(network, tmp_path / "b.edgelist")
    assert edges(tmp_path / "a.edgelist") == [("a", "b", 2.0), ("b", "c", 4.0)]
    assert edges(tmp_path / "b.edgelist", weighted=True) == [("a", "b", 2.0), ("b", "c", 4.0)]
    assert edges(tmp_path / "b.edgelist") == [("a", "b"), ("b", "c")]


def test_columns_and_weights_are_found_or_named(write):
    path = write("a.csv", "weight,dst,src,n\n2,b,a,5\n3.5e0,c,b,0\n")
    assert edges(path) == [("a", "b", 2.0), ("b", "c", 3.5)]
    assert edges(path, weighted=False) == [("a", "b"), ("b", "c")]
    assert edges(path, source_column="n", target_column=2, edge_weight_column="weight")[0] == ("5", "b", 2.0)
    findings = Findings()
    read_edges(path, Settings(edge_weight_column="n"), findings)
    assert findings.notes == ["a.csv: edges from src to dst, weights in n"]
    assert findings.dropped == {"edges of weight zero": 1}
    assert edges(write("b.csv", "a,b\nb,c\n"), header=True) == [("b", "c")]
    assert edges(write("b.csv", "u,v\nv,u\n")) == [("u", "v"), ("v", "u")]
    assert edges(write("b.csv", "u,v\nv1,u1\n")) == [("v1", "u1")]
    assert edges(write("b.csv", "1,2\n3,4\n"), source_column=2) == [("2", "1"), ("4", "3")]


@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
    ],
)
def test_packed_files(write, ending, pack):
    for name, text in (("a.csv", b"a,b\nb,c\n"), ("a.txt", b"a b\nb c\n")):
        assert edges(write(name + ending, pack(text))) == [("a", "b"), ("b", "c")]


def test_encodings_globs_and_standard_input(write, tmp_path, monkeypatch):
    wanted = [("서울", "부산")]
    assert edges(write("a.csv", "서울,부산\n".encode("cp949")), encoding="cp949") == wanted
    assert edges(write("b.txt", "서울 부산\n".encode("cp949")), encoding="cp949") == wanted
    assert edges(write("c.csv", "서울,부산\n".encode("utf-16"))) == wanted
    write("d1.csv", "a,b\n")
    write("d2.csv", "b,c\n")
    assert edges(str(tmp_path / "d*.csv")) == [("a", "b"), ("b", "c")]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a b\nb c\n")))
    assert edges("-") == [("a", "b"), ("b", "c")]


def test_parquet_and_tables_in_memory(tmp_path):
    table = pa.table({"n": [0, 0], "source": [7, 8], "target": ["007", "x"], "weight": [1.5, 2.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    wanted = [("7", "007", 1.5), ("8", "x", 2.0)]
    assert edges(tmp_path / "a.parquet") == edges(table) == edges(table.to_pandas()) == wanted
    gaps = pd.DataFrame({"u": [17850.0, None, 3.0], "v": ["a", "b", 5]})
    findings = Findings()
    read, _ = read_edges(gaps, Settings(), findings)
    assert read.names.to_pylist() == ["17850", "3", "a", "5"]
    assert findings.dropped == {"rows without one of the two nodes": 1}


def test_networks_matrices_and_arrays():
    network = nx.DiGraph([("a", "b"), (1, "a")])
    network.add_node("alone")
    listed, directed = read_edges(network, Settings(), Findings())
    assert directed
    assert listed.names.to_pylist() == ["a", "b", "1", "alone"]
    assert edges(network) == [("a", "b"), ("1", "a")]
    network["a"]["b"]["weight"] = 5
    assert edges(network) == [("a", "b", 5.0), ("1", "a", 1.0)]
    assert not read_edges(nx.path_graph(3), Settings(), Findings())[1]
    dense = np.array([[0, 2, 0], [0, 0, 3], [0, 0, 0]])
    wanted = [("0", "1", 2.0), ("1", "2", 3.0)]
    assert edges(dense) == edges(sp.csr_array(dense)) == edges(sp.coo_matrix(dense)) == wanted
    assert edges(dense > 0) == edges(dense, weighted=False) == [("0", "1"), ("1", "2")]
    assert edges(np.array([[5, 6], [6, 7], [7, 8], [8, 9]]))[:2] == [("5", "6"), ("6", "7")]


def test_matrix_market(tmp_path):
    dense = np.array([[0, 2, 0, 0], [2, 0, 3, 0], [0, 3, 0, 0], [0, 0, 0, 0]], float)
    mmwrite(tmp_path / "a.mtx", sp.coo_array(dense), symmetry="symmetric")
    findings = Findings()
    listed, _ = read_edges(tmp_path / "a.mtx", Settings(), findings)
    assert set(listed.names.to_pylist()) == {"1", "2", "3"}
    assert findings.dropped == {"rows of the matrix without an entry": 1}
    assert sorted(edges(tmp_path / "a.mtx")) == [("2", "1", 2.0), ("3", "2", 3.0)]
    both = sorted(edges(tmp_path / "a.mtx", directed=True))
    assert both == [("1", "2", 2.0), ("2", "1", 2.0), ("2", "3", 3.0), ("3", "2", 3.0)]
    mmwrite(tmp_path / "b.mtx", sp.coo_array(np.triu(dense)), field="integer", symmetry="general")
    assert sorted(edges(tmp_path / "b.mtx")) == [("1", "2", 2.0), ("2", "3", 3.0)]
    mmwrite(tmp_path / "c.mtx", sp.coo_array(np.triu(dense)), field="pattern", symmetry="general")
    assert sorted(edges(tmp_path / "c.mtx")) == [("1", "2"), ("2", "3")]
    packed = tmp_path / "d.mtx.gz"
    packed.write_bytes(gzip.compress((tmp_path / "b.mtx").read_bytes()))
    assert edges(packed) == edges(tmp_path / "b.mtx")


def test_matlab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit(1)")  # a folder of data is no place to import from
    matrix = sp.csc_array(np.array([[0, 1, 0], [0, 0, 4], [0, 0, 0]], float))
    other = sp.csc_array(np.ones((2, 3)))
    savemat(tmp_path / "a.mat", {"network": matrix, "group": other}, do_compression=True)
    assert edges(tmp_path / "a.mat") == [("0", "1", 1.0), ("1", "2", 4.0)]
    savemat(tmp_path / "b.mat", {"one": matrix, "two": matrix.T, "full": matrix.toarray()})
    assert edges(tmp_path / "b.mat", variable="two") == [("1", "0", 1.0), ("2", "1", 4.0)]
    assert edges(tmp_path / "b.mat", variable="full") == [("0", "1", 1.0), ("1", "2", 4.0)]


names = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"], exclude_characters='"#%,'), min_size=1)


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(names, names), min_size=2, max_size=20))
def test_any_names_come_through(pairs, tmp_path_factory):
    import unicodedata

    folder = tmp_path_factory.mktemp("names")
    wanted = [tuple(unicodedata.normalize("NFC", name) for name in pair) for pair in pairs]
    (folder / "a.tsv").write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    (folder / "a.csv").write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in pairs), encoding="utf-8")
    (folder / "a.txt").write_text("source target\n" + "".join(f"{a} {b}\n" for a, b in pairs), encoding="utf-8")
    for name in ("a.tsv", "a.csv", "a.txt"):
        assert edges(folder / name) == wanted


def test_many_nodes_are_numbered_in_parts(monkeypatch, write):
    import embedkit_graph.edges as module

    monkeypatch.setattr(module, "_FEW", 2)
    paths = [write(f"{i}.csv", "".join(f"n{i + j},m{j}\n" for j in range(5))) for i in range(6)]
    wanted = [(f"n{i + j}", f"m{j}") for i in range(6) for j in range(5)]
    assert edges(paths) == wanted


def test_the_source_takes_walks_along_edges(write):
    path = write("a.csv", "source,target\nx,y\ny,z\nx,x\n")
    source = GraphWalks(build(Options, {"input": path, "walks_per_node": 2, "walk_length": 4}))
    for _ in range(2):
        corpus = embedkit.Corpus.from_source(source)
        assert len(corpus) == 6
        assert corpus.n_tokens == 24
        assert set(corpus.tokens) == {"x", "y", "z"}
        assert source.dropped == {"edges from a node to itself (--self-loops keeps them)": 1}
        assert source.notes == ["a.csv: edges from source to target", "3 nodes, 2 edges, undirected, equal weights"]
    walks = [[corpus.tokens[i] for i in ids] for ids in corpus.ids.reshape(6, 4)]
    assert {pair for walk in walks for pair in pairwise(walk)} == {("x", "y"), ("y", "x"), ("y", "z"), ("z", "y")}


def test_the_sample_shows_its_communities():
    emb = embedkit.train("graph", walks_per_node=4, vector_size=32, negative=5, workers=1)
    assert len(emb.tokens) == sum(map(len, CLUBS.values())) == 200
    pupils = [pupil for members in CLUBS.values() for pupil in members[:3]]
    right = [
        near.rpartition("-")[2] == pupil.rpartition("-")[2]
        for pupil in pupils
        for near, _ in emb.most_similar(pupil, topn=5)
    ]
    assert np.mean(right) > 0.9


def test_what_is_unpacked_lies_in_the_work_folder(tmp_path):
    path, folder = tmp_path / "a.mat", tmp_path / "work"
    folder.mkdir()
    savemat(path, {"network": sp.csc_matrix(np.eye(3)[[1, 2, 0]])})
    with MatFile(path, "a.mat", folder) as mat:
        assert len(list(folder.iterdir())) == 1
        assert mat.matrix("network").nnz == 3
    with MatFile(path, "a.mat", folder):
        pass  # its process is ended, whatever it waits for
    assert not list(folder.iterdir())
