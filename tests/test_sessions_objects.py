"""Folders of Parquet in the manner of Hive, and files behind URLs: `file://` here, S3 on loopback."""

import contextlib
import gzip
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import needs

import embedkit
from embedkit.options import build
from embedkit_sessions import Options, Sessions, objects

PARTS = {
    "country=007/a.parquet": {"user": ["ann"], "item": ["1"]},
    "country=kr/b.parquet": {"user": ["ann", "bob"], "item": ["2", "3"]},
    "country=us%20of%2Fa/deep=er/c.parquet": {"user": ["bob"], "item": ["4"]},
    "country=__HIVE_DEFAULT_PARTITION__/d.parquet": {"user": ["eve"], "item": ["5"]},
}
BY_USER = [("ann", ["1", "2"]), ("eve", ["5"]), ("bob", ["3", "4"])]
BY_COUNTRY = [("007", ["1"]), ("kr", ["2", "3"]), ("us of/a", ["4"])]


@pytest.fixture
def hive(tmp_path):
    folder = tmp_path / "clicks"
    for name, columns in PARTS.items():
        path = folder / name
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(columns), path)
    (folder / "_SUCCESS").touch()
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "half.parquet").write_bytes(b"half")
    (folder / ".a.parquet.crc").write_bytes(b"crc")
    return folder


def read(given, **options):
    """Return each sentence's key and tokens, and the source."""
    made = Sessions(build(Options, {"input": given, **options}))
    found = []
    for batch in made.batches():
        tokens = batch.tokens.to_pylist()
        keys = [None] * (len(batch.offsets) - 1) if batch.keys is None else batch.keys.to_pylist()
        found += [(key, tokens[batch.offsets[s] : batch.offsets[s + 1]]) for s, key in enumerate(keys)]
    return found, made


def refused(given, **options):
    with pytest.raises(embedkit.SourceError) as caught:
        read(given, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_folders_below_a_folder_are_read_and_what_they_are_called_is_a_column(hive, form):
    given = form.format(hive)
    assert read(given)[0] == BY_USER
    found, made = read(given, user_column="country")
    assert found == BY_COUNTRY  # 007 is text, and stays it
    assert made.dropped == {"rows without a user": 1}
    two = read(form.format(hive / "country=*" / "*.parquet"), user_column="country")[0]
    assert two == BY_COUNTRY[:2]


def test_a_column_in_the_file_goes_before_its_folder(tmp_path):
    (tmp_path / "user=folder").mkdir()
    pq.write_table(pa.table({"user": ["file"], "item": ["1"]}), tmp_path / "user=folder" / "a.parquet")
    assert read(tmp_path)[0] == [("file", ["1"])]


def test_text_in_such_folders_has_their_columns_too(tmp_path):
    (tmp_path / "user=ann").mkdir()
    (tmp_path / "user=ann" / "a.csv").write_text("item,ts\n2,20\n1,10\n")
    assert read(tmp_path)[0] == [("ann", ["1", "2"])]
    (tmp_path / "user=ann" / "a.csv").write_text("item,ts\n2,20\n1,x\n")
    assert "a.csv, line 3: 'x' in column 'ts' is no time" in refused(tmp_path)


@pytest.mark.parametrize("packed", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_text_behind_a_url_reads_as_here(tmp_path, packed):
    path = tmp_path / f"a b.csv{packed}"
    text = "user,item\nann,1\nann,2\n".encode("utf-8-sig")
    if packed in ("", ".gz", ".bz2", ".zst"):
        with pa.output_stream(str(path), compression="detect" if packed else None) as out:
            out.write(text)
    else:
        import lzma

        path.write_bytes(lzma.compress(text))
    assert read(f"file://{path}")[0] == read(path)[0] == [("ann", ["1", "2"])]
    assert read(f"file://{str(path).replace(' ', '%20')}")[0] == [("ann", ["1", "2"])]
    lines = read(f"file://{path}", layout="lines", key="none")[0]
    assert (
        lines
        == read(path, layout="lines", key="none")[0]
        == [(None, ["user,item"]), (None, ["ann,1"]), (None, ["ann,2"])]
    )


def test_urls_that_lead_nowhere(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "nix.csv does not exist" in refused(f"file://{tmp_path}/nix.csv")
    assert "no file matches" in refused(f"file://{tmp_path}/*.csv")
    assert "holds no file to read" in refused(f"file://{tmp_path}/empty")
    assert "https://h/x lies in no store that is known here" in refused("https://u:geheim@h/x?token=geheim")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    assert "a.parquet cannot be read" in refused(f"file://{tmp_path}/a.parquet")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"user,item\n" * 1000)[:-20])
    assert "b.csv.gz cannot be read" in refused(f"file://{tmp_path}/b.csv.gz")


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_delta_table_is_not_taken_for_its_files(hive, form):
    (hive / "_delta_log").mkdir()
    (hive / "_delta_log" / "0.json").write_text("{}")
    assert "is a Delta table" in refused(form.format(hive))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            "AWS Error ACCESS_DENIED during HeadObject operation",
            "may not be read with the credentials there are; set AWS",
        ),
        ("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 6", "cannot be reached"),
        ("AWS Error UNKNOWN (HTTP status 500)\nduring", "cannot be read: AWS Error UNKNOWN (HTTP status 500) during."),
    ],
)
def test_refusals_of_a_store_are_one_line(error, told):
    assert told in str(objects.refused("s3://bucket/key", OSError(error)))


@contextlib.contextmanager
def _s3():
    """Give the port of an S3 server on loopback with bucket `shop`, written by anybody."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true"},
    )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < until
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait()


@pytest.mark.slow
def test_s3(hive):
    needs("moto", "flask")
    from pyarrow import fs

    with _s3() as port:
        store = fs.S3FileSystem(
            access_key="name", secret_key="word", endpoint_override=f"127.0.0.1:{port}", scheme="http",
            region="us-east-1", allow_bucket_creation=True,
        )  # fmt: skip
        store.create_dir("shop")
        fs.copy_files(str(hive), "shop/clicks", destination_filesystem=store)
        with store.open_output_stream("shop/a.csv") as out:
            out.write(b"user,item\nann,7\n")
        settings = f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
        assert read(f"s3://name:word@shop/clicks{settings}", user_column="country")[0] == BY_COUNTRY
        assert read(f"s3://name:word@shop/clicks/*/*.parquet{settings}")[0][0] == BY_USER[0]
        assert read(f"s3://name:word@shop/a.csv{settings}")[0] == [("ann", ["7"])]
        assert read(f"s3://anonymous@shop/a.csv{settings}")[0] == [("ann", ["7"])]
        assert refused(f"s3://name:word@shop/b.csv{settings}") == "s3://shop/b.csv does not exist; check the path."
        guard = urllib.request.Request(
            f"http://127.0.0.1:{port}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(guard):
            told = refused(f"s3://name:word@shop/a.csv{settings}")
        assert told.startswith("s3://shop/a.csv may not be read with the credentials there are; set AWS_ACCESS_KEY_ID")
        assert "word" not in told
