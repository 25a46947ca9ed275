"""Bad input gets one clear line that says what is wrong, where, and what to do."""

import gzip
import lzma
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import embedkit
from embedkit.options import build
from embedkit_sessions import Options, Sessions


def refused(given, **options):
    """Return the one line that reading ends with."""
    with pytest.raises(embedkit.EmbedkitError) as caught:
        list(Sessions(build(Options, {"input": given, **options})).batches())
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert ".link" not in message
    return message


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_missing_empty_and_unsuited_inputs(write, tmp_path):
    (tmp_path / "folder").mkdir()
    assert "nowhere.csv does not exist" in refused(tmp_path / "nowhere.csv")
    write("ratings.csv", "user,item\n1,2\n")
    assert refused(tmp_path / "rating.csv").endswith("does not exist; check the path. Did you mean 'ratings.csv'?")
    assert "no file matches" in refused(str(tmp_path / "*.parquet"))
    assert "holds no file to read" in refused(tmp_path / "folder")
    assert "a.csv is empty" in refused(write("a.csv", ""))
    assert "b.csv is empty" in refused(write("b.csv", "\n\n"))
    assert "name a file with --input" in refused(())
    assert "name a file with --input" in refused(None)
    assert "got dict" in refused({"user": [1]})
    assert "the table has no rows" in refused(pd.DataFrame({"user": [], "item": []}))
    assert "several" in refused([tmp_path, pd.DataFrame({"user": [1], "item": [1]})])


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a"])
def test_binary_files(write, name):
    assert "is binary" in refused(write(name, bytes(range(256)) * 10))
    assert "is binary" in refused(write(name, bytes(range(256)) * 10), layout="lines")


def test_files_that_are_not_what_their_ending_says(write):
    assert "a.parquet" in refused(write("a.parquet", "user,item\n1,2\n"))
    assert "not compressed as its ending says" in refused(write("a.csv.gz", "user,item\n1,2\n"))
    assert "a.csv.xz cannot be read" in refused(write("a.csv.xz", lzma.compress(b"user,item\n" + b"1,2\n" * 9999)[:60]))
    text = "user,item\n" + "".join(f"{i},{i * i}\n" for i in range(100_000))
    assert "b.csv.gz" in refused(write("b.csv.gz", gzip.compress(text.encode())[:-5000]))


def test_missing_and_misnamed_columns(write):
    path = write("ratings.csv", "userId,movieId,rating,timestamp\n1,2,3,4\n")
    assert refused(path, user_column="usrId") == (
        "ratings.csv has no column 'usrId'; it has: userId, movieId, rating, timestamp. Name it with --user-column."
        " Did you mean 'userId'?"
    )
    assert "Did you mean 'userId'?" in refused(path, user_column="user")
    assert "Name it with --time-column" in refused(path, time_column="when")
    assert "Name it with --item-label-column" in refused(path, item_label_column="title")
    assert "it has 4" in refused(path, weight_column=5)
    assert "cannot be the same column" in refused(path, user_column=1, item_column="userId")
    unknown = write("x.csv", "wer,was\n1,2\n")
    assert (
        refused(unknown)
        == "x.csv has no column 'user'; it has: wer, was. Name it with --user-column or say --no-header."
    )
    assert "--item-column" in refused(unknown, user_column="wer")
    misspelt = write("m.csv", "userr,item\n1,2\n")
    assert refused(misspelt).endswith("or say --no-header. Did you mean 'userr'?")
    assert refused(write("i.csv", "user,item\n1,2\n"), user_column="item") == (
        "i.csv: column 'item' is taken for something else; name that of the items with --item-column."
    )
    assert refused(unknown, delimiter=";").startswith("x.csv is not parted by ';'; name what parts its columns")
    assert "--delimiter" in refused(write("y.csv", "user item\n1 2\n"))


@pytest.mark.parametrize(
    ("rows", "line", "problem"),
    [
        ("ann,a,1\nann,b\nann,c,3\n", 3, "2 columns where there should be 3"),
        ("ann,a,1\nann\nann,c,3\n", 3, "1 column where there should be 3"),
        ("ann,a,1\nann,b,2\nann,c,3,4\n", 4, "4 columns where there should be 3"),
        ('ann,a,1\nann,"b,2\nann,c,3\n', 3, "quotation mark"),
        ('ann,a,1\nann,"b"x,2\nann,c,3\n', 3, "quotation mark"),
        ("ann,a,1\n\nann,b,yesterday\n", 4, "'yesterday' in column 'time' is no time"),
        ('ann,"a\nb",1\nann,b,infinity\n', 4, "'infinity' in column 'time' is no time"),
    ],
)
def test_damaged_rows_are_refused_with_file_and_line(write, rows, line, problem):
    message = refused(write("a.csv", "user,item,time\n" + rows))
    assert message.startswith(f"a.csv, line {line}: ")
    assert problem in message
    assert "--bad-rows drop" in message


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.xz"])
def test_bad_values_are_found_in_packed_files_too(write, name):
    text = b"user,item,weight\nann,a,1\nann,b,much\n"
    content = gzip.compress(text) if name.endswith("gz") else lzma.compress(text) if name.endswith("xz") else text
    assert refused(write(name, content), weight_column="weight").startswith(
        f"{name}, line 3: 'much' in column 'weight'"
    )


def test_bad_values_in_other_kinds_of_table(write):
    assert "u.dat, line 2: 'soon'" in refused(write("u.dat", "1::a::1300000000\n1::b::soon\n"), time_column=3)
    rows = '{"user": 1, "item": 2, "time": 3}\n{"user": 1, "item": 2, "time": "soon"}\n'
    assert "a.jsonl, line 2: 'soon'" in refused(write("a.jsonl", rows))
    frame = pd.DataFrame({"user": [1, 1], "item": [1, 2], "weight": [1.0, float("inf")]})
    assert "the table, row 2: 'inf' in column 'weight'" in refused(frame)
    assert "explode" in refused(pd.DataFrame({"user": [1], "item": [[1, 2]]}))
    assert "explode" in refused(write("b.jsonl", '{"user": 1, "item": [2, 3]}\n'))


def test_wrong_encoding_names_the_line(write):
    bad = "café".encode("latin-1")
    assert "a.csv, line 3: the text is not utf-8; name its --encoding" in refused(
        write("a.csv", b"user,item\nann,a\nann," + bad + b"\n")
    )
    late = b"user,item\n" + b"ann,a\n" * 50_000 + b"ann," + bad + b"\n"
    assert "line 50002: the text is not utf-8" in refused(write("b.csv", late))
    assert "line 2: the text is not cp949" in refused(write("c.csv", b"user,item\nann,\xff\xff\n"), encoding="cp949")
    assert "utf-9" in refused(write("d.csv", "user,item\n1,2\n"), encoding="utf-9")
    assert "lines.txt, line 2" in refused(write("lines.txt", b"ann a\nann " + bad + b"\n"), layout="lines")


def test_nul_in_an_id(write):
    filler = "ann,a\n" * 20_000
    assert "NUL" in refused(write("a.csv", "user,item\n" + filler + "ann,b\0c\n"))
    assert "NUL" in refused(write("a.txt", "ann a\n" * 20_000 + "ann b\0c\n"), layout="lines")


def test_mixed_line_ends(write):
    assert "line ends" in refused(write("a.csv", "user,item\r\nann,a\nann,b\r\n"))


def test_damaged_json(write):
    assert "a.jsonl, line 2: no JSON object" in refused(
        write("a.jsonl", '{"user":1,"item":2}\n{"user":1,"item":nul}\n')
    )
    assert "no JSON object" in refused(write("b.jsonl", '{"user":1,"item":2}\n[1, 2]\n'))
    assert "c.json" in refused(write("c.json", '[{"user":1,"item":2},\n{"user":1,'))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_json_that_is_nested_deeply_or_long(name, write):
    def packed(text):
        pack = {".gz": gzip.compress, ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True)}
        return write(name, pack.get(name[-3:], pack.get(name[-4:], bytes))(text.encode()))

    deep = "[" * 5000 + "]" * 5000
    message = refused(packed(f'{{"user": 1, "item": 2}}\n{{"user": {deep}, "item": 2}}\n'))
    assert message == f"{name}, line 2: its JSON is nested too deeply; mend the line, or take it out."
    long = '{"user": 1, "item": [' + "1," * (9 << 20) + "1]}"
    assert f"{name}, line 1: its object is longer than 16 MB" in refused(packed(long))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_line_of_many_megabytes_takes_little_memory(write):
    refused(write("b.csv", "user,item\nu,i,u\n"))  # what is imported is not counted
    path = write("a.csv", "user,item\n" + "u," * 10_000_000)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    assert "a.csv, line 2: 3 columns where there should be 2" in refused(path)
    assert memory("VmHWM") - before < 400 << 20


def memory(field):
    """Return a field of this process's status, in bytes."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith(field))


def test_nothing_left_says_why(write):
    message = refused(write("a.csv", "user,item,weight\nann,a,0\n,b,1\n"))
    assert message.startswith("nothing is left of the input: ")
    assert "rows with a weight of zero or less: 1" in message
    assert "rows without a user: 1" in message
    assert "it has no rows" in refused(write("b.csv", "user,item\n"))


def test_files_must_have_the_same_columns(write):
    given = (write("a.csv", "user,item,time\n1,2,3\n"), write("b.csv", "user,item\n1,2\n"))
    assert "b.csv" in refused(given)


def test_options_that_contradict(write):
    path = write("a.csv", "user,item\n1,2\n")
    assert "needs" in refused(path, session_gap="30min")
    assert "duration" in refused(write("b.csv", "user,item,time\n1,2,3\n"), session_gap="soon")
    assert "duration" in refused(write("b.csv", "user,item,time\n1,2,3\n"), session_gap="0")
    assert "weight-column" in refused(path, min_weight=2)
    assert "Choose one" in refused(path, labels="x.csv", item_label_column="item")
    assert "layout table" in refused(path, layout="lines", user_column="user")
    assert "delimiter" in refused(path, delimiter="12345")
    assert "does not exist" in refused(path, labels="nowhere.csv")
    assert "no lines" in refused(pa.table({"user": [1], "item": [2]}), layout="lines")
