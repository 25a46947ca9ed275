"""Tables in memory are read where they lie: pandas, polars, Arrow, Hugging Face datasets, streams of one's own."""

import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from conftest import needs

import embedkit
from embedkit.options import build
from embedkit_sessions import Options, Sessions
from embedkit_sessions.frames import Stream, opened

TABLE = pa.table(
    {
        "user": ["ann", "bob", "ann"],
        "item": pa.array([3, 1, 2], pa.int64()),
        "time": pa.array([30, 10, 20], pa.int64()),
        "item_name": ["three", "one", "two"],
        "unused": [[1], [2], [3]],
    }
)
EXPECTED = [("ann", ["2", "3"]), ("bob", ["1"])]


def source(given, **options):
    return Sessions(build(Options, {"input": given, **options}))


def read(made):
    """Return each sentence's key and tokens."""
    found = []
    for batch in made.batches():
        tokens = batch.tokens.to_pylist()
        keys = batch.keys.to_pylist()
        found += [(key, tokens[batch.offsets[s] : batch.offsets[s + 1]]) for s, key in enumerate(keys)]
    return found


def refused(given):
    with pytest.raises(embedkit.SourceError) as caught:
        read(source(given))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def address(column):
    """Return where in memory a column's numbers, or its texts' views or offsets, lie."""
    chunk = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    return chunk.buffers()[1].address


class Rows:
    """A stream of one's own, which counts what is asked of it."""

    name = "the ledger"

    def __init__(self, table, asked):
        self.table, self.schema, self.asked = table, table.schema, asked

    def select(self, columns):
        self.asked.append(columns)
        return Rows(self.table.select(columns), self.asked)

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def test_an_arrow_table_is_taken_as_it_is():
    assert opened(TABLE) is TABLE


def test_the_numbers_of_a_data_frame_are_not_copied():
    frame = pd.DataFrame({"user": [1, 2], "item": [3, 4], "weight": [0.5, 1.0]})
    table = opened(frame)
    for name in frame:
        assert address(table[name]) == frame[name].to_numpy().ctypes.data


def test_arrow_columns_of_a_data_frame_are_not_copied():
    backed = pd.DataFrame(
        {name: pd.Series(TABLE[name], dtype=pd.ArrowDtype(TABLE[name].type)) for name in ("user", "item")}
    )
    table = opened(backed)
    assert address(table["user"]) == address(TABLE["user"])
    assert address(table["item"]) == address(TABLE["item"])
    assert read(source(backed)) == [("ann", ["3", "2"]), ("bob", ["1"])]


def test_a_frame_of_polars_is_not_copied():
    needs("polars")
    import polars as pl

    frame = pl.DataFrame({name: TABLE[name].to_pylist() for name in ("user", "item", "time")})
    table = opened(frame)
    assert address(table["item"]) == frame["item"].to_numpy(allow_copy=False).ctypes.data
    assert address(table["user"]) == address(pa.table(frame)["user"])
    assert read(source(frame)) == EXPECTED
    assert "LazyFrame; collect it first" in refused(frame.lazy())


def test_a_dataset_of_hugging_face_is_not_copied(tmp_path):
    needs("datasets")
    import datasets

    dataset = datasets.Dataset(TABLE.select(["user", "item", "time", "item_name"]))
    assert address(opened(dataset)["item"]) == address(TABLE["item"])
    assert read(source(dataset)) == EXPECTED
    assert dict(source_after_reading(dataset).labels()) == {"1": "one", "2": "two", "3": "three"}


def source_after_reading(given):
    made = source(given)
    read(made)
    return made


def test_rows_of_hugging_face_that_were_chosen_or_reordered_come_in_their_order():
    needs("datasets")
    import datasets

    dataset = datasets.Dataset.from_dict({"user": ["a"] * 5, "item": list("abcde"), "other": [0] * 5})
    assert read(source(dataset.select([4, 0, 2]))) == [("a", ["e", "a", "c"])]
    chosen = dataset.filter(lambda row: row["item"] in "bd")
    assert read(source(chosen)) == read(source(chosen)) == [("a", ["b", "d"])]
    streamed = source(dataset.to_iterable_dataset())
    assert isinstance(opened(dataset.to_iterable_dataset()), Stream)
    assert read(streamed) == read(streamed) == [("a", list("abcde"))]


def test_datasets_that_are_no_table():
    needs("datasets")
    import datasets

    dataset = datasets.Dataset.from_dict({"user": ["a"], "item": ["b"]})
    splits = datasets.DatasetDict(train=dataset, test=dataset)
    assert refused(splits) == "the dataset has splits; give one of them: 'train', 'test'."
    assert "no rows" in refused(dataset.select([]))
    unknown = datasets.IterableDataset.from_generator(lambda: iter([{"user": "a", "item": "b"}]))
    assert "does not say what columns it has" in refused(unknown)


def test_a_stream_brings_what_is_needed_and_can_be_read_again():
    asked = []
    made = source(Rows(TABLE, asked))
    assert read(made) == read(made) == EXPECTED
    assert asked == [["user", "item", "time"]] * 2
    assert made.notes[0] == "the ledger: users in user, items in item, times in time, labels in item_name"
    assert dict(made.labels()) == {"1": "one", "2": "two", "3": "three"}
    assert asked[2:] == [["item", "item_name"]]


def test_a_bad_row_of_a_stream_is_told():
    table = TABLE.set_column(2, "time", pa.array(["2024-01-01", "gestern", None]))
    assert refused(Rows(table, [])).startswith("the ledger, row 2: 'gestern' in column 'time' is no time")
    assert "no rows" in refused(Rows(TABLE.slice(0, 0), []))


def test_readers_batches_and_arrow_datasets(tmp_path):
    plain = TABLE.drop_columns(["unused"])
    assert read(source(plain.to_batches()[0])) == EXPECTED
    made = source(pa.RecordBatchReader.from_batches(plain.schema, iter(plain.to_batches())))
    assert read(made) == read(made) == EXPECTED
    pq.write_table(plain, tmp_path / "a.parquet")
    assert read(source(pyarrow.dataset.dataset(tmp_path / "a.parquet"))) == EXPECTED


def test_what_is_no_table_is_refused():
    assert "got dict" in refused({"user": [1]})
    assert "got int" in refused(7)


def test_one_column_is_no_table():
    with pytest.raises(embedkit.SourceError, match=r"must be a table; got one column of it \(Series\)"):
        embedkit.read("sessions", input=pd.DataFrame({"item_id": ["a"]})["item_id"])
