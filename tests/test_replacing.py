"""Files that take another's place: what is half-written is locked while it is written, and swept when it is not."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from embedkit import Checkpoint, EmbedkitError, ModelError
from embedkit.embeddings.replacing import _mark, check_writable, locked, replacing

fcntl = pytest.importorskip("fcntl")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_left_is_removed_by_who_writes_there_next(tmp_path):
    path = tmp_path / "model.safetensors"
    writing = f"""
import os, signal
from pathlib import Path
from embedkit.embeddings.replacing import replacing
with replacing(Path({str(path)!r})) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", writing]).returncode == -9
    (left,) = names(tmp_path)
    other = tmp_path / f"{_mark(tmp_path / 'other.safetensors')}0123.tmp"
    other.write_bytes(b"of another file")
    check_writable(path)
    assert names(tmp_path) == [other.name]
    assert left != other.name


@pytest.mark.parametrize("call", [check_writable, lambda path: replacing(path).__enter__()], ids=["check", "write"])
def test_what_is_being_written_stays(call, tmp_path):
    path = tmp_path / "model.safetensors"
    with replacing(path) as file:
        file.write(b"first")
        (first,) = names(tmp_path)
        call(path)
        assert first in names(tmp_path)
    assert path.read_bytes() == b"first"


def test_two_writers_at_once_leave_the_last_and_nothing_else(tmp_path):
    path = tmp_path / "model.safetensors"

    def write(number):
        for _ in range(20):
            with replacing(path) as file:
                file.write(bytes([number]) * 5000)

    threads = [threading.Thread(target=write, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(tmp_path) == [path.name]
    assert path.read_bytes() in (bytes([1]) * 5000, bytes([2]) * 5000)


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_is_no_file_of_ours_stays(kind, tmp_path):
    path = tmp_path / "model.safetensors"
    mine = tmp_path / "mine"
    mine.write_text("mine")
    left = tmp_path / f"{_mark(path)}0123.tmp"
    {"folder": left.mkdir, "link": lambda: left.symlink_to(mine), "pipe": lambda: os.mkfifo(left)}[kind]()
    check_writable(path)
    assert names(tmp_path) == sorted([left.name, "mine"])
    assert mine.read_text() == "mine"


def test_where_there_are_no_locks_nothing_is_removed_and_files_are_written(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    path = tmp_path / "model.safetensors"
    left = tmp_path / f"{_mark(path)}0123.tmp"
    left.write_bytes(b"half")
    monkeypatch.setattr(fcntl, "flock", refuse)
    with replacing(path) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"
    assert left.exists()
    with locked(tmp_path) as free:
        assert free


def test_a_file_that_another_is_about_to_sweep_is_not_written(tmp_path, monkeypatch):
    path, lock, swept = tmp_path / "model.safetensors", fcntl.flock, []

    def sweep_first(descriptor, how):
        if not swept:
            swept.extend(tmp_path.glob("*.tmp"))
            raise OSError(errno.EWOULDBLOCK, "Resource temporarily unavailable")
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    with replacing(path) as file:
        for left in swept:
            left.unlink(missing_ok=True)
        file.write(b"whole")
    assert swept
    assert path.read_bytes() == b"whole"


def test_an_error_leaves_nothing(tmp_path):
    path = tmp_path / "model.safetensors"

    def fails():
        with replacing(path) as file:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ModelError, match="cannot be written: No space"):
        fails()
    assert names(tmp_path) == []


def test_a_name_that_no_file_can_have(tmp_path):
    with pytest.raises(ModelError, match="cannot be written"):
        check_writable(str(tmp_path / "a\0b"))


def test_two_trainings_into_one_folder(tmp_path):
    checkpoint = Checkpoint(tmp_path / "states")
    checkpoint.prepare()
    with checkpoint.held():
        with pytest.raises(EmbedkitError, match="is in use by another training"):
            Checkpoint(tmp_path / "states", resume=True).prepare()
        with pytest.raises(EmbedkitError, match="is in use by another training"), checkpoint.held():
            pass
    checkpoint.prepare()


def test_a_file_that_was_replaced_before_it_was_locked_is_not_held(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    lock = fcntl.flock

    def slow(descriptor, how):
        with replacing(path) as file:
            file.write(b"new")
        lock(descriptor, how)

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", lambda d, how: (patched.undo(), slow(d, how))[1])
        with locked(path) as free:
            assert not free
    with locked(path) as free:
        assert free
    with locked(path) as free, locked(path) as other:
        assert free
        assert not other


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_the_new_file_is_as_private_as_the_old_one(tmp_path, mode):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    with replacing(path) as file:
        assert os.fstat(file.fileno()).st_mode == before.st_mode  # before there is anything in it
        file.write(b"new")
    after = path.stat()
    assert path.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
