"""Groups of points: clusters that are there are found; columns of files, and what is wrong with them."""

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedkit.atlas import by_column, clusters
from embedkit.atlas.grouping import NONE
from embedkit.atlas.palette import COLOURS, OTHER
from embedkit.errors import EmbedkitError, OptionError


def points(k=4, each=30, seed=0):
    rng = np.random.default_rng(seed)
    group = np.arange(k * each) % k
    return (np.eye(8)[group] + rng.normal(scale=0.05, size=(k * each, 8))).astype(np.float32), group


def test_clusters_that_are_there_are_found_and_named_by_their_own():
    vectors, group = points()
    names = [f"w{g}.{i}" for i, g in enumerate(group)]
    found = clusters(vectors, names, 4, seed=1)
    assert len(found.names) == 4
    for i, name in enumerate(found.names):
        own = set(group[found.ids == i])
        assert len(own) == 1
        assert all(part.startswith(f"w{own.copy().pop()}.") for part in name.split(", "))
    again = clusters(vectors, names, 4, seed=1)
    np.testing.assert_array_equal(found.ids, again.ids)


def test_the_greatest_cluster_comes_first():
    vectors = np.repeat(np.eye(3, dtype=np.float32), [2, 9, 5], axis=0)
    found = clusters(vectors, [str(i) for i in range(16)], 3)
    assert [int((found.ids == i).sum()) for i in range(3)] == [9, 5, 2]


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_there_are_no_more_clusters_than_different_points(n):
    found = clusters(np.ones((n, 3), np.float32), [str(i) for i in range(n)], 8)
    assert len(found.names) == min(n, 1)
    with pytest.raises(OptionError, match="from 1 to 8"):
        clusters(np.ones((3, 3), np.float32), ["a", "b", "c"], 9)


def test_vectors_that_are_not_finite_are_refused():
    with pytest.raises(EmbedkitError, match="no place on a map"):
        clusters(np.full((9, 3), np.nan, np.float32), [str(i) for i in range(9)], 2)


def test_a_column_of_csv_groups_and_what_is_rare_is_told(tmp_path):
    path = tmp_path / "about.csv"
    rows = [f"{i:03d},kind {i % 12}" for i in range(60)]
    path.write_text("\n".join(["id,kind", *rows, "999,kind 0"]), encoding="utf-8")
    found = by_column([f"{i:03d}" for i in range(61)], path)
    assert found.names == tuple(f"kind {i}" for i in range(8))
    assert found.rest == "4 other values of kind and 1 without one"
    assert found.ids[:9].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, NONE]


def test_parquet_tsv_and_named_columns(tmp_path):
    table = pa.table({"kind": ["x", "y", None], "year": [1999, 2001, 2001], "item": [7, 8, 9]})
    pq.write_table(table, tmp_path / "about.parquet")
    found = by_column(["7", "8", "9"], tmp_path / "about.parquet", "year", "item")
    assert (found.names, found.rest) == (("2001", "1999"), "")
    (tmp_path / "about.tsv").write_text("item\tkind, or not\nä\t한국\n", encoding="utf-8")
    assert by_column(["ä"], tmp_path / "about.tsv").names == ("한국",)


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("id,a,b\n1,2,3\n", {}, "has the columns id, a, b: name the groups' with --group-column"),
        ("id,genre\n1,2\n", {"group_column": "genr"}, "has no column 'genr'. Did you mean 'genre'?"),
        ("id,genre\n1,2\n", {"id_column": "item", "group_column": "genre"}, "has no column 'item'. It has: id, genre."),
        ("id,a,a\n1,2,3\n", {"group_column": "a"}, "several columns named 'a'"),
        ("id,genre\n77,x\n", {}, "has a genre for none of these tokens; its ids are such as '77'"),
        ("id,genre\n1,2,3\n", {}, "cannot be read as a table"),
        ("", {}, "cannot be read as a table"),
    ],
)
def test_a_file_that_does_not_serve_is_told(tmp_path, text, columns, message):
    path = tmp_path / "about.csv"
    path.write_text(text)
    with pytest.raises(EmbedkitError) as error:
        by_column(["1"], path, **columns)
    if message not in str(error.value):
        raise AssertionError(str(error.value))


def test_a_missing_and_a_damaged_file_are_told(tmp_path):
    with pytest.raises(EmbedkitError, match="cannot be read as a table"):
        by_column(["1"], tmp_path / "nothing.csv")
    (tmp_path / "about.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(EmbedkitError, match="cannot be read as a table"):
        by_column(["1"], tmp_path / "about.parquet")


# Machado, Oliveira & Fernandes (2009), severity 1: how red, green and blue look where a kind of cone is missing.
CONES = {
    "all": np.eye(3),
    "no long": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no middle": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no short": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def linear(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    x, y, z = np.cbrt(np.maximum(to_xyz @ rgb, 1e-4) / [0.95047, 1, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", CONES)
def test_colours_are_told_apart_by_all_kinds_of_eyes(eyes):
    seen = [lab(np.clip(np.array(CONES[eyes]) @ linear(colour), 0, 1)) for colour in (*COLOURS, OTHER)]
    distances = [np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)]
    assert min(distances) > 15


def test_two_groups_of_one_point_are_refused(tmp_path):
    (tmp_path / "about.csv").write_text("id,group\na,x\nb,x\na,y\n")
    with pytest.raises(EmbedkitError, match="two values of group for 'a': 'x' and 'y'"):
        by_column(["a", "b"], tmp_path / "about.csv")
