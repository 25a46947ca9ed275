"""Vector stores: what was exported is found in them by their own clients; what fails leaves what was there."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import needs

needs("lancedb", "psycopg", "pgserver", "qdrant_client")

import lancedb
import psycopg
from click.testing import CliRunner
from pgvector_server import PASSWORD, running
from qdrant_client import QdrantClient, models

from embedkit import Embeddings, EmbedkitError, Names, OptionError, Run
from embedkit.cli.app import app
from embedkit.embeddings.exporting import Notes, export

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # the clients' own


def make(n=700, width=8, seed=0, **more):
    rng = np.random.default_rng(seed)
    tokens = [f"토큰 {i}'\"" for i in range(n)]
    labels = [f"Name; {i}" if i % 2 else "" for i in range(n)]
    contexts = rng.standard_normal((n, width), np.float32)
    parts = {"counts": np.arange(n) + 2**40, "labels": labels, "context_vectors": contexts, **more}
    return Embeddings(tokens, rng.standard_normal((n, width), np.float32), **parts)


def damaged(n=20_000):
    """Return embeddings whose last token is no UTF-8, so that reading them fails when most are written."""
    offsets = np.arange(n + 1, dtype=np.int64)
    utf8 = np.full(n, ord("a"), np.uint8)
    utf8[-1] = 0xFF
    return Embeddings(Names(utf8, offsets), np.ones((n, 8), np.float32))


@pytest.fixture(scope="module")
def server():
    with running() as started:
        yield started


@pytest.fixture
def connection(server):
    with psycopg.connect(server.url(), autocommit=True) as made:
        made.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        yield made


def vectors_in(connection, table, order="count"):
    rows = connection.execute(f"SELECT vector::real[] FROM {table} ORDER BY {order}").fetchall()
    return np.array([row[0] for row in rows], np.float32)


def test_pgvector_holds_tokens_vectors_labels_and_counts(server, connection):
    emb = make()
    said = emb.export("pgvector", server.url())
    assert said[-2:] == ["Nearest first, by cosine: ORDER BY vector <=> '[...]'", "Left out: context vectors."]
    rows = connection.execute("SELECT token, label, count FROM embeddings ORDER BY count").fetchall()
    expected = zip(emb.tokens, emb.labels, emb.counts.tolist(), strict=True)
    assert rows == [(token, label or None, count) for token, label, count in expected]
    assert vectors_in(connection, "embeddings").tobytes() == emb.vectors.tobytes()


def test_pgvector_answers_as_the_model_does(server, connection):
    emb = make()
    emb.export("pgvector", server.url())
    emb.export("pgvector", server.url(), vectors="context", table="public.contexts")
    connection.execute("SET enable_indexscan = off")
    query = f"[{','.join(map(str, emb.vectors[7].tolist()))}]"
    near = connection.execute("SELECT token FROM embeddings ORDER BY vector <=> %s LIMIT 6", (query,)).fetchall()
    assert [token for (token,) in near[1:]] == [token for token, _ in emb.most_similar(emb.tokens[7], 5)]
    best = connection.execute("SELECT token FROM contexts ORDER BY vector <#> %s LIMIT 5", (query,)).fetchall()
    scores = emb.context_vectors @ emb.vectors[7]
    assert [token for (token,) in best] == emb.tokens[np.argsort(-scores)[:5]]


@pytest.mark.parametrize(
    ("options", "operators"),
    [({}, "vector_cosine_ops"), ({"vectors": "context"}, "vector_ip_ops"), ({"metric": "euclidean"}, "vector_l2_ops"),
     ({"index": "none"}, None)],
)  # fmt: skip
def test_pgvectors_index_is_for_the_right_metric(server, connection, options, operators):
    make().export("pgvector", server.url(), table="Some Name", **options)
    found = dict(
        connection.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'Some Name'").fetchall()
    )
    assert found.keys() == {"Some Name_pkey"} | ({"Some Name_vector"} if operators else set())
    assert operators is None or operators in found["Some Name_vector"]


def test_pgvector_replaces_what_it_wrote_and_nothing_else(server, connection):
    make(seed=1).export("pgvector", server.url())
    emb = make(50, width=3, seed=2, labels=None)
    emb.export("pgvector", server.url())
    assert np.array_equal(vectors_in(connection, "embeddings"), emb.vectors)
    connection.execute("CREATE TABLE mine (x int); CREATE VIEW seen AS SELECT * FROM embeddings")
    with pytest.raises(EmbedkitError, match=r"public\.mine already that embedkit did not write; name another --table"):
        emb.export("pgvector", server.url(), table="mine")
    with pytest.raises(EmbedkitError, match=r"other objects depend on it; nothing there has changed\.$"):
        make(60).export("pgvector", server.url())
    assert np.array_equal(vectors_in(connection, "seen"), emb.vectors)
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
    assert tables == [("embeddings",), ("mine",)]


def test_grants_outlive_the_table_that_they_were_given_on(server, connection):
    make().export("pgvector", server.url(), table="granted")
    connection.execute('CREATE ROLE "the shop"')
    connection.execute('GRANT SELECT, UPDATE ON granted TO "the shop" WITH GRANT OPTION')
    connection.execute("GRANT SELECT ON granted TO PUBLIC")
    make(seed=2).export("pgvector", server.url(), table="granted")
    granted = "SELECT grantee, privilege_type, is_grantable FROM information_schema.table_privileges"
    found = connection.execute(f"{granted} WHERE table_name = 'granted' AND grantee <> 'tester'").fetchall()
    assert sorted(found) == [
        ("PUBLIC", "SELECT", "NO"), ("the shop", "SELECT", "YES"), ("the shop", "UPDATE", "YES"),
    ]  # fmt: skip


def test_what_postgresql_refuses_midway_leaves_the_old_table(server, connection):
    old = make(20)
    old.export("pgvector", server.url())
    twice = Embeddings(Names.from_strings(["a"] * 20_000), np.ones((20_000, 8), np.float32))
    with pytest.raises(EmbedkitError, match="duplicate key value"):
        twice.export("pgvector", server.url())
    with pytest.raises(UnicodeDecodeError):
        damaged().export("pgvector", server.url())
    assert np.array_equal(vectors_in(connection, "embeddings"), old.vectors)


def test_a_connection_that_is_cut_midway_leaves_the_old_table(server, connection):
    class Cutting(Notes):
        def progress(self, done, total, **more):
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND pid <> %s"
            connection.execute(query, (connection.info.backend_pid,))

    old = make(20)
    old.export("pgvector", server.url())
    with pytest.raises(EmbedkitError, match="nothing there has changed") as caught:
        export(make(40_000), "pgvector", server.url(), {}, run=Cutting())
    assert "\n" not in str(caught.value)
    assert np.array_equal(vectors_in(connection, "embeddings"), old.vectors)


def test_a_server_that_is_down_or_refuses_is_told_without_the_password(server):
    for url, said in [
        (server.url("wrong"), "password authentication failed"),
        (server.url(database="nix"), 'database "nix" does not exist'),
        ("postgresql://me:secret@127.0.0.1:1/db", "Connection refused"),
        ("postgresql://me:secret@127.0.0.1:port/db", "invalid integer value"),
        ("postgresql://me:sec@ret@127.0.0.1/db", "cannot be read as the URL of a database"),
        ("postgresql://me:sec/ret@127.0.0.1/db", "cannot be read as the URL of a database"),
        ("host=127.0.0.1 password=secret", "cannot be read as the URL of a database"),
        ("vectors.txt", "cannot be read as the URL of a database"),
    ]:
        with pytest.raises(EmbedkitError, match=said) as caught:
            make(2).export("pgvector", url)
        told = str(caught.value)
        assert "\n" not in told
        assert not any(part in told for part in ("wrong", "secret", "sec@", "ret@", "sec/", PASSWORD))


def test_the_command_shows_no_password(server, connection, tmp_path):
    make(5).save(tmp_path / "m.safetensors")
    call = ["export", "--to", "pgvector", server.url(), "--table", "cli", "--model", str(tmp_path / "m.safetensors")]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0
    assert f"Wrote postgresql://tester:***@127.0.0.1:{server.port}/postgres: 5 tokens, 8 numbers" in done.stderr
    assert server.url().split(":")[2].split("@")[0] not in done.output + done.stderr


@pytest.mark.parametrize("table", ["a.b.c", "", ".a", "x" * 51, "a\0"])
def test_names_that_no_table_can_have(server, table):
    with pytest.raises(OptionError, match=r"must be NAME or SCHEMA\.NAME"):
        make(2).export("pgvector", server.url(), table=table)


def test_what_pgvector_cannot_hold_is_refused_or_told(server, connection):
    with pytest.raises(EmbedkitError, match="holds no NUL"):
        Embeddings(["a\0b"], np.ones((1, 2), np.float32)).export("pgvector", server.url())
    with pytest.raises(EmbedkitError, match="up to 16,000 numbers"):
        Embeddings(["a"], np.ones((1, 16_001), np.float32)).export("pgvector", server.url())
    said = Embeddings(["a"], np.ones((1, 2_001), np.float32)).export("pgvector", server.url())
    assert said[0] == "No index: pgvector's HNSW takes up to 2,000 numbers a vector, not 2,001."


def test_lancedb_holds_tokens_vectors_labels_and_counts(tmp_path):
    emb = make()
    emb.export("lancedb", tmp_path / "db")
    emb.export("lancedb", tmp_path / "db", table="contexts", vectors="context", index="hnsw")
    database = lancedb.connect(tmp_path / "db")
    found = database.open_table("embeddings")
    table = found.to_arrow()
    assert table["token"].to_pylist() == list(emb.tokens)
    assert table["label"].to_pylist() == [label or None for label in emb.labels]
    assert table["count"].to_pylist() == emb.counts.tolist()
    assert table["vector"].combine_chunks().flatten().to_numpy().tobytes() == emb.vectors.tobytes()
    near = found.search(emb.vectors[7]).distance_type("cosine").limit(6).to_list()
    assert [row["token"] for row in near[1:]] == [token for token, _ in emb.most_similar(emb.tokens[7], 5)]
    contexts = database.open_table("contexts")
    assert contexts.index_stats(contexts.list_indices()[0].name).distance_type == "dot"


def test_lancedb_replaces_what_it_wrote_and_nothing_else(tmp_path):
    make(seed=1).export("lancedb", tmp_path)
    old = make(20, width=3, labels=None)
    old.export("lancedb", tmp_path)
    with pytest.raises(EmbedkitError, match=r"cannot be written: .*\. Nothing there has changed\.$") as caught:
        damaged().export("lancedb", tmp_path)
    assert "\n" not in str(caught.value)
    database = lancedb.connect(tmp_path)
    found = database.open_table("embeddings").to_arrow()
    assert found["vector"].combine_chunks().flatten().to_numpy().tobytes() == old.vectors.tobytes()
    database.create_table("foreign", [{"x": 1}])
    with pytest.raises(EmbedkitError, match="'foreign' already that embedkit did not write; name another --table"):
        old.export("lancedb", tmp_path, table="foreign")


def test_a_lancedb_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for target, options, said in [
        (tmp_path / "file", {}, "is a file; LanceDB keeps its tables in a folder"),
        ("/proc/db", {}, "/proc/db cannot be written"),
        (tmp_path, {"table": "a/b"}, "Invalid table name"),
    ]:
        with pytest.raises(EmbedkitError, match=said):
            make(2).export("lancedb", target, **options)


def test_a_lancedb_whose_index_fails_says_that_the_table_is_written(tmp_path):
    needs("lancedb")
    from embedkit_stores import LanceDB
    from embedkit_stores.lance import Options

    class Unindexable(LanceDB):
        def _add_index(self, table, n, metric):
            table.create_index(metric="none", vector_column_name="vector", index_type="IVF_HNSW_SQ")

    exporter = Unindexable()
    exporter.run = Run()
    with pytest.raises(EmbedkitError, match="The table is written, its index is not"):
        exporter.write(make(), str(tmp_path / "vectors"), Options(index="hnsw"))


def test_few_rows_get_no_index_in_lancedb(tmp_path):
    assert "No index: LanceDB builds none for fewer than 256 rows." in make(20).export(
        "lancedb", tmp_path, index="hnsw"
    )


def points(folder, alias):
    """Return what Qdrant has under an alias: payloads, vectors, and the metric."""
    client = QdrantClient(path=str(folder))
    try:
        found, _ = client.scroll(alias, limit=10_000, with_vectors=True)
        metric = client.get_collection(alias).config.params.vectors.distance
        return [point.payload for point in found], np.array([point.vector for point in found], np.float32), metric
    finally:
        client.close()


def test_qdrant_holds_tokens_vectors_labels_and_counts(tmp_path):
    emb = make(1_200)
    emb.export("qdrant", tmp_path / "db", vectors="context", collection="contexts")
    assert emb.export("qdrant", tmp_path / "db") == ["Left out: context vectors."]
    payloads, vectors, metric = points(tmp_path / "db", "contexts")
    assert vectors.tobytes() == emb.context_vectors.tobytes()
    assert metric == "Dot"
    rows = zip(emb.tokens, emb.labels, emb.counts.tolist(), strict=True)
    assert payloads == [
        {"token": token, **({"label": label} if label else {}), "count": count} for token, label, count in rows
    ]
    _, vectors, metric = points(tmp_path / "db", "embeddings")
    assert vectors.tobytes() == emb.vectors.tobytes()
    assert metric == "Cosine"


def test_qdrant_switches_to_the_new_or_keeps_the_old(tmp_path):
    make(seed=1).export("qdrant", tmp_path)
    client = QdrantClient(path=str(tmp_path))
    client.create_collection("embeddings-embedkit-killed", models.VectorParams(size=2, distance=models.Distance.DOT))
    client.close()
    old = make(20, width=3)
    old.export("qdrant", tmp_path, metric="euclidean")
    with pytest.raises(EmbedkitError, match="cannot be written"):
        damaged(2_000).export("qdrant", tmp_path)
    _, vectors, _ = points(tmp_path, "embeddings")
    assert vectors.tobytes() == old.vectors.tobytes()
    assert len(os.listdir(tmp_path / "collection")) == 1


def test_a_collection_of_others_is_not_replaced(tmp_path):
    client = QdrantClient(path=str(tmp_path))
    client.create_collection("mine", models.VectorParams(size=2, distance=models.Distance.DOT))
    with pytest.raises(EmbedkitError, match="another program has the folder open"):
        make(2).export("qdrant", tmp_path)
    client.close()
    with pytest.raises(EmbedkitError, match="'mine' already that embedkit did not write; name another --collection"):
        make(2).export("qdrant", tmp_path, collection="mine")


def test_a_qdrant_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for target, options, said in [
        (tmp_path / "file", {}, "is a file; Qdrant keeps its collections in a folder"),
        (tmp_path, {}, "is a folder of something else than Qdrant"),
        (tmp_path / "no" / "db", {}, "there is no folder"),
        (tmp_path / "db", {"collection": "a/b"}, "cannot contain '/'"),
        ("http://127.0.0.1:1", {}, "Connection refused"),
    ]:
        with pytest.raises(EmbedkitError, match=said) as caught:
            make(2).export("qdrant", target, **options)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("form", "package"), [("lancedb", "lancedb"), ("pgvector", "psycopg"), ("qdrant", "qdrant-client")]
)
def test_a_store_whose_client_is_missing_says_how_to_get_it(tmp_path, form, package):
    program = f"""
import sys
for name in ("lancedb", "psycopg", "qdrant_client"):
    sys.modules[name] = None
import embedkit, numpy
try:
    embedkit.Embeddings(["a"], numpy.ones((1, 2))).export({form!r}, "postgresql://me@127.0.0.1:1/x")
except embedkit.EmbedkitError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"needs {package}, which is not installed: pip install '.[stores]'" in done.stdout
