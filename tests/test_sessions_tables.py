"""Tables of interactions become sentences, whatever file they lie in."""

import bz2
import gzip
import io
import json
import lzma
import sys
import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import embedkit
from embedkit.options import build
from embedkit_sessions import Options, Sessions, grouping


def source(given, **options):
    return Sessions(build(Options, {"input": given, **options}))


def sentences(source):
    """Return (key, tokens, weights, times) of each sentence."""
    found = []
    for batch in source.batches():
        assert batch.offsets.dtype == np.int64
        assert len(batch.keys) == len(batch.offsets) - 1
        for s, (start, end) in enumerate(zip(batch.offsets[:-1], batch.offsets[1:], strict=True)):
            weights = None if batch.weights is None else batch.weights[start:end].tolist()
            times = None if batch.times is None else batch.times[start:end].tolist()
            found.append((batch.keys[s].as_py(), batch.tokens[start:end].to_pylist(), weights, times))
    return found


def read(given, **options):
    return sentences(source(given, **options))


def tokens(given, **options):
    return [(key, items) for key, items, _, _ in read(given, **options)]


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


BASIC = "user,item,timestamp\nann,tea,20\nbob,rye,5\nann,egg,10\n"
BASIC_SENTENCES = [("ann", ["egg", "tea"]), ("bob", ["rye"])]


def test_rows_are_grouped_by_user_and_ordered_by_time(write):
    found = read(write("a.csv", BASIC))
    assert found == [("ann", ["egg", "tea"], None, [10_000_000, 20_000_000]), ("bob", ["rye"], None, [5_000_000])]


def test_source_can_be_read_again(write):
    sessions = source(write("a.csv", BASIC))
    assert sentences(sessions) == sentences(sessions)


def test_equal_times_keep_the_order_of_the_rows(write):
    rows = "".join(f"ann,i{n},7\nbob,j{n},7\n" for n in range(50))
    found = tokens(write("a.csv", "user,item,time\n" + rows))
    assert found == [("ann", [f"i{n}" for n in range(50)]), ("bob", [f"j{n}" for n in range(50)])]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", BASIC.replace(",", "\t")),
        ("a.csv", BASIC.replace(",", ";")),
        ("a.txt", BASIC.replace(",", "|")),
        ("a.dat", "ann::tea::1300000020\nbob::rye::1300000005\nann::egg::1300000010\n"),
        ("a.csv", BASIC.replace("\n", "\r\n")),
        ("a.csv", b"\xef\xbb\xbf" + BASIC.encode()),
        ("a.csv", BASIC.encode("utf-16")),
        ("a.csv", BASIC.encode("utf-16-le")),
        ("a.csv.gz", gzip.compress(BASIC.encode())),
        ("a.csv.bz2", bz2.compress(BASIC.encode())),
        ("a.csv.xz", lzma.compress(BASIC.encode())),
        ("a.csv.zst", zstandard.compress(BASIC.encode())),
        ("no_ending", BASIC),
        ("weird [1]*'\".csv", BASIC),
        ("a.csv", BASIC.rstrip()),
        ("a.jsonl", '{"user":"ann","item":"tea","timestamp":20}\n{"user":"bob","item":"rye","timestamp":5}\n'
                    '{"item":"egg","user":"ann","timestamp":10.0}\n'),
        ("a.json", '[{"user":"ann","item":"tea","timestamp":20},\n{"user":"bob","item":"rye","timestamp":5},'
                   '{"item":"egg","user":"ann","timestamp":10}]'),
    ],
)  # fmt: skip
def test_every_form_of_file_reads_the_same(write, name, content):
    assert tokens(write(name, content)) == BASIC_SENTENCES


def test_tables_in_memory_and_in_parquet_read_the_same(tmp_path):
    frame = pd.read_csv(io.StringIO(BASIC))
    frame.to_parquet(tmp_path / "a.parquet")
    for table in (frame, pa.Table.from_pandas(frame), tmp_path / "a.parquet", (tmp_path / "a.parquet",), [frame]):
        assert tokens(table) == BASIC_SENTENCES


def test_frame_with_a_column_of_several_types():
    frame = pd.DataFrame({"user": ["ann", 7, None], "item": [1, "b", "c"]})
    sessions = source(frame)
    assert [s[:2] for s in sentences(sessions)] == [("ann", ["1"]), ("7", ["b"])]
    assert sessions.dropped == {"rows without a user": 1}


def test_folders_and_globs_are_read_in_order_of_name(write, tmp_path):
    write("d/b.csv", "user,item\nann,2\n")
    write("d/a.csv", "item,user\n1,ann\n")
    write("d/readme.md", "not a table")
    assert tokens(tmp_path / "d") == tokens(str(tmp_path / "d" / "*.csv")) == [("ann", ["1", "2"])]


def test_standard_input_can_be_read_twice(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BASIC.encode())))
    sessions = source("-")
    assert [s[:2] for s in sentences(sessions)] == [s[:2] for s in sentences(sessions)] == BASIC_SENTENCES


def test_encoding_is_transcoded(write):
    path = write("a.csv", "user,item\nann,국수\n".encode("cp949"))
    assert tokens(path, encoding="cp949") == [("ann", ["국수"])]


def test_columns_are_named_or_numbered_or_known(write):
    path = write("a.csv", "date,customerId,x,StockCode\n2020-01-02,ann,q,tea\n2020-01-01,ann,r,egg\n")
    assert tokens(path) == [("ann", ["egg", "tea"])]
    assert (
        tokens(path, item_column="x")
        == tokens(path, item_column=3)
        == tokens(path, item_column="3")
        == [("ann", ["r", "q"])]
    )


def test_without_a_header_the_columns_are_taken_by_place_and_times_by_their_look(write):
    path = write("u.data", "1\t50\t5\t881250949\n1\t172\t3\t881250940\n")
    assert tokens(path) == [("1", ["172", "50"])]
    path = write("b.csv", "ann,tea\nann,egg\n")
    assert tokens(path) == [("ann", ["tea", "egg"])]
    assert tokens(path, header=True, user_column=1, item_column=2) == [("ann", ["egg"])]


def test_rating_is_no_weight_unless_named(write):
    path = write("a.csv", "user,item,rating\nann,tea,4\nann,egg,2.5\n")
    assert read(path)[0][2] is None
    assert read(path, weight_column="rating")[0][2] == [4.0, 2.5]
    assert tokens(path, weight_column="rating", min_weight=3) == [("ann", ["tea"])]


def test_ids_are_the_text_in_the_file(write):
    path = write("a.csv", 'user,item\n007,"Tea, black"\n-x,"say ""hi"""\n007, tea \n')
    assert tokens(path) == [("007", ["Tea, black", "tea"]), ("-x", ['say "hi"'])]


@pytest.mark.parametrize("column", [[17850.0, np.nan, 9.0], ["17850.0", None, "9.0"]])
def test_whole_numbers_that_gaps_made_floats_read_as_whole(tmp_path, column):
    frame = pd.DataFrame({"user": column, "item": ["a", "b", "c"]})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv", index=False)
    for table in (frame, tmp_path / "a.parquet", tmp_path / "a.csv"):
        sessions = source(table)
        assert [s[0] for s in sentences(sessions)] == ["17850", "9"]
        assert sessions.dropped == {"rows without a user": 1}


def test_large_floats_keep_their_digits_and_those_that_are_not_whole_stay():
    frame = pd.DataFrame({"user": [2.0**53, np.nan], "item": ["a", "b"]})
    assert tokens(frame) == [("9007199254740992", ["a"])]
    assert [k for k, _ in tokens(pd.DataFrame({"user": [1.5, 2.0], "item": ["a", "b"]}))] == ["1.5", "2.0"]


def test_nfc_and_nfd_forms_are_one_item(write):
    decomposed = unicodedata.normalize("NFD", "café 한국")
    path = write("a.csv", f"user,item\nann,{decomposed}\nann,café 한국\n{unicodedata.normalize('NFD', 'é')},x\né,y\n")
    assert tokens(path) == [("ann", ["café 한국"] * 2), ("é", ["x", "y"])]


def test_missing_ids_are_dropped_and_counted(write):
    sessions = source(write("a.csv", "user,item\n,a\nann,\nann,NaN\nann,b\n"))
    assert [s[:2] for s in sentences(sessions)] == [("ann", ["b"])]
    assert sessions.dropped == {"rows without a user": 1, "rows without an item": 2}


def test_weights_of_zero_or_less_and_missing_ones_are_dropped_and_counted(write):
    sessions = source(write("a.csv", "user,item,weight\nann,a,0\nann,b,-2\nann,c,\nann,d,3\nann,e,nan\n"))
    assert [s[:3] for s in sentences(sessions)] == [("ann", ["d"], [3.0])]
    assert sessions.dropped == {"rows with a weight of zero or less": 2, "rows without a weight": 2}


def test_cancelled_invoices_are_dropped_and_counted(write):
    sessions = source(write("a.csv", "InvoiceNo,StockCode,CustomerID\n536365,a,1\nC536379,b,1\nCash,c,1\n"))
    assert [s[:2] for s in sentences(sessions)] == [("1", ["a", "c"])]
    assert sessions.dropped == {"cancelled invoices": 1}


def test_users_with_few_interactions_are_left_out_and_counted(write):
    sessions = source(write("a.csv", BASIC), min_interactions=2)
    assert [s[0] for s in sentences(sessions)] == ["ann"]
    assert sessions.dropped == {"rows of users with fewer than 2 interactions": 1}


@pytest.mark.parametrize(
    ("gap", "expected"), [("30min", [2, 1]), ("1801", [3]), ("1799s", [1, 1, 1]), ("0.5 h", [2, 1]), ("1d", [3])]
)
def test_session_gap_splits_a_history(write, gap, expected):
    path = write("a.csv", "user,item,time\nann,a,100\nann,b,1900\nann,c,3701\n")
    found = tokens(path, session_gap=gap)
    assert [len(items) for _, items in found] == expected
    assert {key for key, _ in found} == {"ann"}


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("1381945744", 1381945744_000000),
        ("1381945744.5", 1381945744_500000),
        ("1381945744123", 1381945744_123000),
        ("1381945744123456", 1381945744_123456),
        ("1381945744123456789", 1381945744_123457),
        ("2013-10-16 17:49:04", 1381945744_000000),
        ("2013-10-16T17:49:04Z", 1381945744_000000),
        ("2013-10-16T19:49:04.25+02:00", 1381945744_250000),
        ("2013-10-16", 1381881600_000000),
        ("1969-12-31", -86400_000000),
    ],
)
def test_times(write, text, micro):
    found = read(write("a.csv", f"user,item,time\nann,a,{text}\n"))[0][3]
    assert abs(found[0] - micro) <= (1 if len(text) == 19 and text.isdigit() else 0)


def test_times_of_a_given_form(write):
    path = write("a.csv", "user,item,time\nann,a,16.10.2013 17:49\n")
    assert read(path, time_format="%d.%m.%Y %H:%M")[0][3] == [1381945740_000000]


@pytest.mark.parametrize("kind", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Asia/Seoul"])
def test_times_of_parquet(tmp_path, kind, zone):
    stamp = pd.Timestamp("2013-10-16 17:49:04", tz=zone)
    column = pa.array([stamp], pa.timestamp(kind, tz=zone))
    pq.write_table(pa.table({"user": ["a"], "item": ["b"], "time": column}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[0][3] == [stamp.value // 1000]


def test_mixed_units_are_told(write):
    sessions = source(write("a.csv", "user,item,time\nann,b,1381945745\nann,a,1381945744123\n"))
    assert sentences(sessions)[0][1] == ["a", "b"]
    assert any("several units" in note and "seconds" in note and "milliseconds" in note for note in sessions.notes)


def test_rows_without_a_time_are_dropped_and_counted(write):
    sessions = source(write("a.csv", "user,item,time\nann,b,\nann,a,2020-01-01\n"))
    assert sentences(sessions)[0][1] == ["a"]
    assert sessions.dropped == {"rows without a time": 1}


def test_bad_rows_can_be_dropped_and_are_counted(write):
    text = "user,item,time,weight\nann,a,1,1\nann,b\nann,c,soon,1\nann,d,2,lots\nann,e,3,1,9\nann,f,4,1\n"
    sessions = source(write("a.csv", text), bad_rows="drop")
    assert sentences(sessions)[0][1] == ["a", "f"]
    assert sessions.dropped == {
        "unreadable rows": 2,
        "rows with an unreadable time": 1,
        "rows with an unreadable weight": 1,
    }


def test_notes_say_which_column_is_which(write):
    sessions = source(write("a.csv", BASIC))
    sentences(sessions)
    assert sessions.notes == ["a.csv: users in user, items in item, times in timestamp", "times are Unix seconds"]


def test_nothing_is_left_behind(write, tmp_path, monkeypatch):
    import tempfile

    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    tokens(write("a.csv.xz", lzma.compress(BASIC.encode())))
    with pytest.raises(embedkit.SourceError):
        tokens(write("b.csv", "user,item\nann\n"))
    started = source(write("a.csv", BASIC)).batches()
    next(started)
    assert [p.stat().st_mode & 0o777 for p in (tmp_path / "t").iterdir()] == [0o700]
    started.close()
    assert not list((tmp_path / "t").iterdir())


ids = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=4).filter(
    lambda s: unicodedata.normalize("NFC", s.strip()) not in ("", "nan", "NaN", "\\N")
)
rows = st.lists(
    st.tuples(ids, ids, st.integers(0, 2_000_000_000), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 3.0])),
    min_size=1,
    max_size=40,
)


def twin(table, min_interactions, gap):
    """Group with plain pandas what the source should."""
    frame = pd.DataFrame(table, columns=["user", "item", "time", "weight"])
    for name in ("user", "item"):
        column = frame[name].map(lambda s: unicodedata.normalize("NFC", s))
        frame[name] = column.str[:-2] if column.str.fullmatch(r"-?[0-9]+\.0+", flags=0).all() else column
    frame = frame[frame.weight > 0]
    frame = frame[frame.groupby("user").item.transform("size") >= min_interactions]
    found = []
    for user in frame.user.unique():
        history = frame[frame.user == user].sort_values("time", kind="stable")
        session = (history.time.diff() > gap).cumsum() if gap else history.time * 0
        for _, part in history.groupby(session):
            found.append((user, part.item.tolist(), part.weight.tolist(), (part.time * 1_000_000).tolist()))
    return found


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows, st.sampled_from(["csv", "parquet", "jsonl", "frame"]), st.integers(1, 3), st.sampled_from([None, 60, 10**8])
)
def test_any_table_reads_as_pandas_groups_it(tmp_path, table, kind, least, gap):
    frame = pd.DataFrame(table, columns=["user", "item", "time", "weight"])
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")), encoding="utf-8")
    options = {"min_interactions": least, "session_gap": str(gap) if gap else None}
    expected = twin(table, least, gap)
    if not expected:
        with pytest.raises(embedkit.SourceError, match="nothing is left"):
            read(frame if kind == "frame" else path, **options)
    else:
        found = read(frame if kind == "frame" else path, **options)
        # Users come in the order in which they are first met, dropped rows included.
        assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("spread", [1, 10**6, 10**15])
def test_many_parts_are_grouped_as_one(monkeypatch, spread):
    rng = np.random.default_rng(3)
    users, items = rng.integers(0, 40, 3000), rng.integers(0, 500, 3000)
    times = rng.integers(0, 50, 3000) * spread + 1_300_000_000 * 10**6
    table = pa.table({"user": users, "item": items, "time": pa.array(times, pa.timestamp("us"))})
    whole = sorted(read(table))
    monkeypatch.setattr(grouping, "PART_ROWS", 128)
    sessions = source(table)
    batches = list(sessions.batches())
    assert len(batches) > 10
    assert max(len(batch.tokens) for batch in batches) < 128 + 200
    assert sorted(sentences(sessions)) == whole
    frame = table.to_pandas().sort_values(["user", "time"], kind="stable")
    assert whole == sorted(
        (str(user), [str(i) for i in part.item], None, part.time.astype("datetime64[us]").astype("int64").tolist())
        for user, part in frame.groupby("user")
    )


def test_bad_rows_of_several_files_are_counted_together(write, tmp_path):
    write("a.csv", "user,item\nann,a\nann\n")
    write("b.csv", "user,item\nann,b\nann\nann,c,d,e\n")
    sessions = source(str(tmp_path / "*.csv"), bad_rows="drop")
    assert sentences(sessions)[0][1] == ["a", "b"]
    assert sessions.dropped == {"unreadable rows": 3}


def test_headers_are_told_from_data(write):
    assert tokens(write("a.csv", ",user,item\n0,ann,tea\n")) == [("ann", ["tea"])]
    assert tokens(write("b.csv", "ann,book\nbob,book\n")) == [("ann", ["book"]), ("bob", ["book"])]
    assert tokens(write("c.csv", "ann,book\nbob,film\n"), header=False) == [("ann", ["book"]), ("bob", ["film"])]
    assert tokens(write("d.txt", "ann tea\nbob rye\n"), delimiter="space") == [("ann", ["tea"]), ("bob", ["rye"])]


def test_stray_quotes_can_be_taken_as_they_are(write):
    path = write("a.tsv", 'user\titem\nann\t"tea" black\nann\t5" disk\n')
    assert tokens(path, quoting=False) == [("ann", ['"tea" black', '5" disk'])]


def test_names_of_columns_need_no_care(write):
    path = write("a.jsonl", '{"it\'s": "ann", "an \\"item\\"": "tea"}\n')
    assert tokens(path, user_column="it's", item_column='an "item"') == [("ann", ["tea"])]


@pytest.mark.parametrize("again", [1, 400])
@pytest.mark.parametrize("timed", [True, False])
def test_files_put_together_with_their_headers_are_read_without_them(tmp_path, again, timed):
    path, when = tmp_path / "days.csv", ",2026-01-0{}" if timed else ""
    day = "".join(f"u{n},i{n % 7}{when.format(1 + n % 9)}\n" for n in range(again))
    path.write_text(2 * (f"user,item{',time' * timed}\n{day}"))
    corpus = embedkit.read("sessions", input=path)
    assert corpus.n_tokens == 2 * again
    assert "user" not in corpus.keys
    assert "item" not in corpus.tokens
    assert corpus.dropped == {"lines that repeat the header": 1}
    assert (corpus.times is not None) == timed


def test_dates_among_unix_times_are_told(tmp_path):
    (tmp_path / "mixed.csv").write_text("user,item,time\na,x,1400000000\na,y,2019-01-01\na,z,1500000000\n")
    sessions = Sessions(Sessions.Options(input=str(tmp_path / "mixed.csv")))
    list(sessions.batches())
    assert "times are Unix seconds; written as dates: 1" in sessions.notes
