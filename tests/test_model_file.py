import errno
import json
import os
import stat
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from embedkit.contracts import History
from embedkit.embeddings import Embeddings, check_writable, info, load, replacing, verify
from embedkit.embeddings.file import check_learnable
from embedkit.embeddings.safetensors import read_header
from embedkit.errors import ModelError


def make(tokens=("b, c", "á", "", "a\tb", "한국"), d=3, **more):
    rng = np.random.default_rng(0)
    n = len(tokens)
    history = History(
        np.array([0, 2, 2, 3]), np.arange(3, dtype=np.int32), np.array([1, 2, 3], np.float32), np.array([9, 8, 7])
    )
    parts = {
        "counts": np.arange(n),
        "labels": ["x"] * n,
        "context_vectors": rng.standard_normal((n, d), np.float32),
        "keys": ["u1", "u2", "-u3"],
        "key_vectors": rng.standard_normal((3, d), np.float32),
        "histories": history,
        "arrays": {"alpha": np.array([[1.5, 2]]), "flags": np.array([True, False, True]), "half": np.float16(2)},
        "config": {"window": 5, "name": 'q"\\uote', "nested": {"deep": [1, None]}},
        "losses": [0.5, 0.25],
    }
    return Embeddings(list(tokens), rng.standard_normal((n, d), np.float32), **{**parts, **more})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.safetensors"
    make().save(path)
    return path


def equal(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, History):
        return all(equal(getattr(a, part), getattr(b, part)) for part in ("indptr", "indices", "weights", "times"))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    return a == b


# There and back


def test_everything_comes_back(path):
    emb, back = make(), load(path)
    for name in vars(emb):
        assert equal(getattr(emb, name), getattr(back, name)), name
    assert back.tokens.find("한국") == 4
    assert not back.vectors.flags.writeable


def test_the_least_comes_back(tmp_path):
    emb = Embeddings(["a"], np.ones((1, 1), np.float32))
    emb.save(tmp_path / "m")
    back = load(tmp_path / "m")
    assert (back.keys, back.labels, back.counts, back.histories, back.context_vectors) == (None,) * 5
    assert back["a"].tolist() == [1]
    Embeddings([], np.ones((0, 4))).save(tmp_path / "m")
    assert load(tmp_path / "m").vectors.shape == (0, 4)


def test_any_reader_of_the_format_opens_it(path):
    tensors, emb = load_file(path), make()
    assert np.array_equal(tensors["vectors"], emb.vectors)
    assert bytes(tensors["tokens.utf8"]).decode() == "".join(emb.tokens)
    with safe_open(path, "np") as file:
        assert json.loads(file.metadata()["embedkit"])["config"] == emb.config
        assert set(file.keys()) >= {"vectors", "tokens.order", "histories.indices", "arrays.alpha"}


def test_what_another_writer_saved_again_is_read(path, tmp_path):
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    save_file(load_file(path), tmp_path / "again", metadata)
    assert equal(load(tmp_path / "again").vectors, make().vectors)


def test_tensors_are_aligned(path):
    header = read_header(path)
    assert header.data % 64 == 0
    assert all((header.data + t.begin) % t.dtype.itemsize == 0 for t in header.tensors.values())


def test_arrays_that_lie_otherwise_in_memory_are_written_right(tmp_path):
    vectors = np.arange(20, dtype=">f8").reshape(4, 5).T
    Embeddings(list("abcde"), vectors, arrays={"x": vectors[::2]}).save(tmp_path / "m")
    back = load(tmp_path / "m")
    assert np.array_equal(back.vectors, vectors)
    assert np.array_equal(load_file(tmp_path / "m")["arrays.x"], vectors[::2])


def test_a_config_with_half_a_character_is_kept(tmp_path):
    make(config={"name": "\ud800 é"}).save(tmp_path / "m")
    assert load(tmp_path / "m").config["name"] == "\ud800 é"


def test_info_and_verify(path):
    told = verify(path)
    assert told == info(path)
    assert (told.format_version, told.size, len(told.checksum)) == (1, path.stat().st_size, 32)
    assert told.created.endswith("+00:00")


def test_a_file_replaces_the_one_that_is_being_read(path):
    old = load(path)
    first = old.vectors.copy()
    make(d=7).save(path)
    assert np.array_equal(old.vectors, first)
    assert load(path).vector_size == 7


# Damage


def rewrite(path, **changes):
    """Write the file again with parts of its header changed, its data as they are."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    for name, value in changes.items():
        name = name.replace("__", ".") if name != "__metadata__" else name
        header[name] = {**header.get(name, {}), **value} if isinstance(value, dict) else value
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64 + 56)
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size :])


def overwrite(path, tensor, values):
    """Write values over the first of a tensor."""
    header = read_header(path)
    place = header.tensors[tensor]
    raw = bytearray(path.read_bytes())
    data = np.asarray(values, place.dtype).tobytes()
    raw[header.data + place.begin : header.data + place.begin + len(data)] = data
    path.write_bytes(raw)


def refused(path, message):
    with pytest.raises(ModelError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_files_that_are_none(tmp_path):
    refused(tmp_path / "missing", "there is no model")
    refused(tmp_path, "is a folder")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "is no regular file")
    empty = tmp_path / "empty"
    empty.touch()
    refused(empty, "is empty")
    refused(empty / "below", "cannot be read")


@pytest.mark.parametrize(
    "content",
    [
        b"abc",
        b"400000 100\nthe 0.1 0.2\n",
        b"PK\x03\x04" + b"\0" * 60,
        b"\x80\x05" + b"x" * 50,
        b"\0" * 100,
        b"\xff" * 99,
    ],
)
def test_other_formats(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    refused(path, "is no model of embedkit")


def test_a_safetensors_file_of_others(tmp_path):
    save_file({"weight": np.ones(3, np.float32)}, tmp_path / "other")
    refused(tmp_path / "other", "is a safetensors file, but embedkit did not write it")


@pytest.mark.parametrize("kept", [5, 30, 0.5, -1])
def test_a_truncated_file(path, kept):
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * kept) if isinstance(kept, float) else kept])
    refused(path, "truncated|no model of embedkit")


def test_bytes_behind_the_end(path):
    path.write_bytes(path.read_bytes() + b"x")
    refused(path, "there is more than it tells of")


def test_a_newer_format(path):
    told = json.loads(read_header(path).metadata["embedkit"])
    rewrite(path, __metadata__={"embedkit": json.dumps({**told, "format_version": 2})})
    refused(path, "is of format 2; this embedkit reads up to 1")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "{", '{"format_version": "1"}', '{"format_version": 0}', "[" * 100_000]
)
def test_a_configuration_that_cannot_be_read(path, text):
    rewrite(path, __metadata__={"embedkit": text})
    refused(path, "its configuration cannot be read")


def test_a_configuration_without_its_parts(path):
    rewrite(path, __metadata__={"embedkit": '{"format_version": 1}'})
    refused(path, "is damaged: 'query' is missing")


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F33"},
        {"dtype": 4},
        {"shape": [5, 4]},
        {"shape": [-5, -3]},
        {"shape": [5.0, 3]},
        {"shape": [2**63, 2]},
        {"shape": "5"},
        {"data_offsets": [0, 60]},
        {"data_offsets": [0]},
        {"data_offsets": [10**30, 10**30 + 60]},
        {"extra": 1},
        None,
    ],
)
def test_a_tensor_that_is_not_as_it_should_be(path, entry):
    rewrite(path, vectors=entry)
    refused(path, "is damaged or no model of embedkit")


def test_a_name_that_is_none_or_stands_twice(path):
    raw = path.read_bytes()
    place = raw.index(b'"counts"')
    path.write_bytes(raw[:place] + b'"vector"' + raw[place + 8 :])
    refused(path, "it holds 'vector', which is no part of a model")
    path.write_bytes(raw.replace(b'"context_vectors"', b'"vectors"          '))
    refused(path, "names something twice")


def test_tensors_that_are_not_aligned(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    path.write_bytes(struct.pack("<Q", size + 1) + raw[8 : 8 + size] + b" " + raw[8 + size :])
    refused(path, "not aligned")


@pytest.mark.parametrize(
    ("tensor", "values", "message"),
    [
        ("tokens.offsets", [1], "places of its tokens"),
        ("tokens.offsets", [0, 99], "places of its tokens"),
        ("tokens.offsets", [0, -1], "places of its tokens"),
        ("tokens.offsets", [0, 5], "not valid UTF-8"),
        ("tokens.utf8", [255], "not valid UTF-8"),
        ("tokens.order", [7], "the order of its tokens"),
        ("tokens.order", [-1], "the order of its tokens"),
        ("keys.order", [0, 0], "the order of its keys"),
        ("histories.indptr", [0, 3, 2], "end before they begin"),
        ("histories.indptr", [0, 2, 2, 9], "begin at 0 and end"),
        ("histories.indices", [5], "not among the 5 tokens"),
        ("histories.indices", [-1], "not among the 5 tokens"),
    ],
)
def test_data_that_cannot_be(path, tensor, values, message):
    overwrite(path, tensor, values)
    refused(path, message)


@pytest.mark.parametrize("name", ["vectors", "tokens.offsets", "tokens.order", "histories.indices"])
def test_a_tensor_that_is_missing(path, tmp_path, name):
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    del tensors[name]
    save_file(tensors, path, metadata)
    refused(path, "is missing|is damaged")


def test_a_tensor_of_another_type_or_length(path):
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    save_file({**tensors, "vectors": tensors["vectors"].astype(np.float64)}, path, metadata)
    refused(path, "vectors are float64")
    save_file({**tensors, "counts": tensors["counts"][:3].copy()}, path, metadata)
    refused(path, "3 counts for 5 tokens")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_is_found(tmp_path, place, bit):
    path = tmp_path / "flipped"
    if not path.exists():
        make().save(path)
    raw = bytearray(path.read_bytes())
    at = int(place * len(raw))
    raw[at] ^= 1 << bit
    broken = tmp_path / "broken"
    broken.write_bytes(raw)
    with pytest.raises(ModelError):
        verify(broken)


def test_verify_finds_numbers_that_are_not_finite_and_names_that_stand_twice(tmp_path):
    path = tmp_path / "m"
    vectors = np.ones((5, 3), np.float32)
    vectors[3, 1] = np.inf
    make(key_vectors=vectors[2:]).save(path)
    with pytest.raises(ModelError, match="not finite \\(row 1 of key_vectors\\)"):
        verify(path)
    make(arrays={"prior": vectors[3]}).save(path)
    with pytest.raises(ModelError, match=r"not finite \(row 1 of arrays\.prior\)"):
        verify(path)
    huge = make(context_vectors=np.full((5, 3), -1e20, np.float32))
    huge.save(path)
    verify(path)
    with pytest.raises(ModelError, match=r"huge or not finite \(row 0 of context_vectors\)"):
        check_learnable(huge)
    make(counts=np.array([3, 2, 1, 1, -5])).save(path)
    with pytest.raises(ModelError, match="counts below 0"):
        verify(path)
    from embedkit.names import Names

    Embeddings(Names.from_strings(["a", "b", "a"]), np.ones((3, 1))).save(path)
    with pytest.raises(ModelError, match="the token 'a' stands twice"):
        verify(path)


# Writing


def leftovers(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_a_write_that_fails_leaves_the_old_file(path, tmp_path):
    before = path.read_bytes()

    def interrupted():
        with replacing.replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before
    assert leftovers(tmp_path) == []


def test_a_full_disk_leaves_the_old_file(path, tmp_path):
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        with pytest.raises(ModelError, match="cannot be written: File too large"):
            make(d=3000).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("write", [check_writable, make().save])
def test_places_that_cannot_be_written(tmp_path, write):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for place, message in [
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "m", "there is no folder"),
        (tmp_path / "file" / "m", "there is no folder|Not a directory"),
        (tmp_path / ("x" * 300), "too long"),
        (tmp_path / "pipe", "no ordinary file"),
    ]:
        with pytest.raises(ModelError, match=message):
            write(place)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "pipe"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="a superuser may write anywhere")
def test_a_folder_that_is_read_only(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ModelError, match="Permission denied"):
        check_writable(tmp_path / "m")


def test_check_writable_leaves_nothing(path, tmp_path):
    before = path.read_bytes()
    check_writable(path)
    check_writable(tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_a_link_is_followed_and_permissions_are_the_usual(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    make(d=4).save(link)
    assert link.is_symlink()
    assert load(path).vector_size == 4
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_file_that_cannot_be_mapped_is_not_called_damaged(tmp_path, monkeypatch):
    make().save(tmp_path / "m.safetensors")

    def full(*_, **__):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(np, "memmap", full)
    with pytest.raises(ModelError, match=r"m\.safetensors cannot be read: Cannot allocate memory\.$"):
        load(tmp_path / "m.safetensors")
