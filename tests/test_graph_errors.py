"""Bad input gets one clear line that says what is wrong, where, and what to do."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
from scipy.io import savemat

import embedkit
from embedkit.options import build
from embedkit_graph import GraphWalks, Options, mat


def refused(given, **options):
    """Return the one line that reading ends with."""
    with pytest.raises(embedkit.EmbedkitError) as caught:
        list(GraphWalks(build(Options, {"input": given, **options})).batches())
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_missing_empty_and_unsuited_inputs(write, tmp_path):
    write("edges.csv", "a,b\n")
    assert refused(tmp_path / "edge.csv").endswith("does not exist; check the path. Did you mean 'edges.csv'?")
    assert "no file matches" in refused(str(tmp_path / "*.mtx"))
    assert "is a folder; name its files" in refused(tmp_path)
    assert "a.csv is empty" in refused(write("a.csv", ""))
    assert "b.csv is empty" in refused(write("b.csv", "\n \n"))
    assert "holds no edges, only comments" in refused(write("c.txt", "# one\n# two\n"))
    assert "name a list of edges with --input" in refused(())
    assert "got dict" in refused({"a": ["b"]})
    assert "got Graph among several" in refused([nx.Graph([(1, 2)]), nx.Graph()])
    assert "is no list of edges: line 1 ('Once upon') has" not in refused(write("d.txt", "Once\nupon a time\n"))
    assert refused(write("e.txt", "Once\nupon\n")) == (
        "e.txt is no list of edges: line 1 ('Once') has one column where an edge takes two; name what parts them with "
        "--delimiter."
    )


def test_binary_and_damaged_files(write):
    rubbish = bytes(range(256)) * 300
    for name in ("a.csv", "a.txt", "a.edgelist"):
        assert "is binary" in refused(write(name, rubbish))
    assert "cannot be read as Parquet" in refused(write("a.parquet", rubbish))
    assert "cannot be read as a MATLAB file" in refused(write("a.mat", rubbish))
    assert "does not begin with %%MatrixMarket" in refused(write("a.mtx", rubbish))
    text = "".join(f"{i} {i * i}\n" for i in range(100_000)).encode()
    assert "a.txt.gz cannot be read" in refused(write("a.txt.gz", gzip.compress(text)[:-5000]))
    assert "line 40001 holds a NUL" in refused(write("b.txt", b"1 2\n" * 40_000 + b"1 \0 2\n"))
    assert "line 40001 is not UTF-8" in refused(write("b.txt", b"1 2\n" * 40_000 + b"1 \xff 2\n"))
    assert "is not UTF-8" in refused(write("b.csv", b"1,2\n" * 40_000 + b"1,\xff\n"))
    assert "is not in utf-16" in refused(write("c.csv", "a,b\n".encode("utf-16") + b"\x00\xd8"))
    assert "no encoding that Python knows" in refused(write("d.csv", "a,b\n"), encoding="klingon")


def test_ragged_rows_and_columns_that_are_not_there(write):
    assert refused(write("a.txt", "1 2\n\n3\n")) == (
        "a.txt, line 3 has 1 column where there should be 2: '3'; mend it, or name what parts them with --delimiter."
    )
    assert refused(write("a.csv", "# x\n1,2\n3,4\n1,2,3\n")) == (
        "a.csv, line 4 has 3 columns where the first has 2: '1,2,3'; mend it."
    )
    path = write("b.csv", "source,target,amount\na,b,1\n")
    assert refused(path, edge_weight_column="amont") == (
        "b.csv has no column 'amont'; it has: source, target, amount. Name it with --edge-weight-column. "
        "Did you mean 'amount'?"
    )
    assert "has no column 4; it has 3" in refused(path, target_column=4)
    assert "cannot lead from and to the same column" in refused(path, source_column=1, target_column="source")
    assert "holds nodes and cannot hold weights" in refused(path, edge_weight_column="source")
    assert "--no-weighted forbids" in refused(path, weighted=False, edge_weight_column=3)
    assert "has no column of weights" in refused(write("c.csv", "a,b\n"), weighted=True)
    assert "one to four characters" in refused(path, delimiter="")
    assert "an edge takes two" in refused(pd.DataFrame({"source": ["a"]}))
    assert "a column of nodes holds list" in refused(pa.table({"a": [[1]], "b": ["x"]}))


@pytest.mark.parametrize("weight", ["-1", "nan", "inf", "many", "", "1e999", "0x10"])
def test_weights_that_are_none(write, weight):
    told = "edge 2: weight "
    assert told in refused(write("a.csv", f"source,target,weight\na,b,1\nb,c,{weight}\n"))
    if weight:
        assert told in refused(write("a.txt", f"a b 1\nb c {weight}\n"), weighted=True)
        mtx = f"%%MatrixMarket matrix coordinate real general\n3 3 2\n1 2 1\n2 3 {weight}\n"
        assert told in refused(write("a.mtx", mtx))


def test_weights_that_are_none_in_memory():
    for weight in (-1.0, np.nan, np.inf):
        assert "edge 2: weight" in refused(pd.DataFrame({"u": [1, 2], "v": [2, 3], "weight": [1, weight]}))
        assert "is no finite number of at least zero" in refused(sp.csr_array(np.array([[0, 1], [weight, 0]])))
        network = nx.Graph()
        network.add_edge(1, 2, weight=weight)
        assert "is no finite number of at least zero" in refused(network)
    network[1][2]["weight"] = "heavy"
    assert "an edge's weight is no number" in refused(network)
    assert "its weights are list" in refused(pa.table({"u": [1], "v": [2], "weight": [[1]]}))


def test_graphs_without_edges(write):
    told = "the graph has no edge to walk along; "
    assert refused(write("a.csv", "source,target\n")) == f"{told}it lists none."
    assert refused(write("a.txt", "a a\nb b\n")) == f"{told}edges from a node to itself (--self-loops keeps them): 2."
    assert refused(pd.DataFrame({"u": [], "v": []})) == f"{told}it lists none."
    assert refused(pd.DataFrame({"u": ["a"], "v": [None]})) == f"{told}rows without one of the two nodes: 1."
    assert refused(pd.DataFrame({"u": ["a"], "v": ["b"], "weight": [0]})) == f"{told}edges of weight zero: 1."
    assert refused(nx.empty_graph(3)) == f"{told}it lists none."
    assert refused(np.zeros((4, 4))) == f"{told}it lists none."


def test_matrices_that_are_no_graph(write, tmp_path):
    head = "%%MatrixMarket matrix coordinate"
    assert "a matrix of 3 × 5; an adjacency matrix is square" in refused(np.ones((3, 5)))
    assert "a matrix of 3 × 5" in refused(write("a.mtx", f"{head} real general\n3 5 1\n1 1 1\n"))
    assert "is array real general" in refused(write("a.mtx", "%%MatrixMarket matrix array real general\n1 1\n1\n"))
    assert "coordinate complex general" in refused(write("a.mtx", f"{head} complex general\n1 1 1\n1 1 1 1\n"))
    assert "real skew-symmetric" in refused(write("a.mtx", f"{head} real skew-symmetric\n1 1 1\n1 1 1\n"))
    assert "no line of rows" in refused(write("a.mtx", f"{head} real general\n% x\n"))
    assert "announces 2 entries and holds 1" in refused(write("a.mtx", f"{head} real general\n3 3 2\n1 2 1\n"))
    assert "row or column 4 of 3" in refused(write("a.mtx", f"{head} pattern general\n3 3 1\n1 4\n"))
    assert "row or column 0 of 3" in refused(write("a.mtx", f"{head} pattern general\n3 3 1\n0 1\n"))
    assert "no whole number" in refused(write("a.mtx", f"{head} pattern general\n3 3 1\nx 1\n"))
    assert "leave --weighted out" in refused(write("a.mtx", f"{head} pattern general\n3 3 1\n1 2\n"), weighted=True)
    assert "read alone" in refused([tmp_path / "a.mtx", write("b.csv", "a,b\n")])
    assert "no matrix of numbers" in refused(np.array([["a", "b"], ["c", "d"]]))
    assert "complex" in refused(sp.csr_array(np.eye(2, k=1) * 1j))
    assert "two nodes of the graph are called '1'" in refused(nx.Graph([(1, "1")]))


def test_matlab_files_without_a_graph(tmp_path):
    square, wide = sp.csc_array(np.eye(3, k=1)), sp.csc_array(np.ones((2, 3)))

    def saved(**variables):
        savemat(tmp_path / "a.mat", variables)
        return tmp_path / "a.mat"

    assert "has no sparse square matrix; it has: x. Name one with --variable" in refused(saved(x=np.ones(3)))
    assert "a.mat, 'x' is a matrix of 2 × 3" in refused(saved(x=wide))
    assert "several sparse square matrices: a, b" in refused(saved(a=square, b=square))
    assert "Did you mean 'network'?" in refused(saved(network=square), variable="netwrk")
    assert "is no matrix of numbers" in refused(saved(network=square, x="text"), variable="x")
    (tmp_path / "b.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF" * 100)
    assert "save it with '-v7'" in refused(tmp_path / "b.mat")


def lying_mat(claimed):
    """Return a MATLAB 5 file whose sparse matrix claims so many bytes of row numbers and brings a few."""

    def element(kind, data, size=None):
        return struct.pack("<II", kind, len(data) if size is None else size) + data + b"\0" * (-len(data) % 8)

    body = element(6, struct.pack("<II", 5, 2**31 - 1)) + element(5, struct.pack("<ii", 2**30, 2**30))
    body += element(1, b"network") + element(5, b"\0" * 64, claimed)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49)
    return header + struct.pack("<II", 14, len(body)) + body


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.mtx", b"%%MatrixMarket matrix coordinate real general\n999999999999 999999999999 9999999999999\n1 2 1\n"),
        ("a.mat", lying_mat(2**31 - 8)),
        ("b.mat", lying_mat(2**20)),
    ],
)
def test_headers_that_lie_are_refused_in_little_memory(write, name, content):
    path = write(name, content)
    program = (
        "import sys, embedkit\n"
        "try:\n    embedkit.read('graph', input=sys.argv[1])\n"
        "except embedkit.SourceError as error:\n    print(error)\n"
        "print(*(line for line in open('/proc/self/status') if line.startswith('VmHWM')), end='')"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    message, peak = done.stdout.splitlines()
    assert "damaged" in message
    assert int(peak.split()[1]) < 300_000


def test_a_ragged_row_that_is_no_text_ends_in_one_line_and_prints_nothing(write, capfd):
    message = refused(write("a.csv", b"source,target\n" + b"a,b\n" * 60 + b"\xff\xfe\n"))
    assert message.count("\n") == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("end", [90, 140, 200])
def test_a_truncated_mat_file_is_refused(tmp_path, end):
    savemat(tmp_path / "a.mat", {"network": sp.eye_array(9, format="csc")})
    (tmp_path / "a.mat").write_bytes((tmp_path / "a.mat").read_bytes()[:end])
    assert "cannot be read as a MATLAB file" in refused(tmp_path / "a.mat")


def test_a_mat_file_that_is_read_for_ever_is_refused(tmp_path, monkeypatch):
    savemat(tmp_path / "a.mat", {"network": sp.eye_array(9, format="csc")})
    monkeypatch.setattr(mat, "_CHILD", "while True: pass")
    monkeypatch.setattr(mat, "_SECONDS", 0.5)
    assert "cannot be read as a MATLAB file" in refused(tmp_path / "a.mat")
