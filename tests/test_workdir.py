"""Folders for temporary files stay while somebody works in them, wherever that is, and go when nobody does."""

import errno
import os
import shutil
import subprocess
import sys

import pytest

from embedkit.corpus.workdir import WorkFolder, _here

fcntl = pytest.importorskip("fcntl")

NOBODY = 999_999_999  # no process has this number


def folder_of(parent, place, *, locked_by=None):
    """Make a folder as a process makes it whose number means nothing here."""
    folder = parent / f"embedkit-{NOBODY}-{place}-abc"
    folder.mkdir()
    with (folder / "lock").open("w") as file:
        if locked_by is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
            locked_by.append(os.dup(file.fileno()))
    return folder


@pytest.fixture
def no_locks(monkeypatch):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("place", [_here(), "00000000"])
def test_what_is_locked_stays_and_goes_when_it_is_not(tmp_path, place):
    held = []
    folder = folder_of(tmp_path, place, locked_by=held)
    WorkFolder(tmp_path)
    assert folder.is_dir()
    os.close(held[0])
    WorkFolder(tmp_path)
    assert not folder.exists()


def test_a_folder_that_has_no_lock_yet_is_left_to_those_who_made_it(tmp_path):
    begun = [tmp_path / f"embedkit-{pid}-{place}-abc" for pid, place in ((NOBODY, "00000000"), (os.getpid(), _here()))]
    for folder in begun:
        folder.mkdir()
    WorkFolder(tmp_path)
    assert all(folder.is_dir() for folder in begun)


@pytest.mark.usefixtures("no_locks")
def test_where_there_are_no_locks_only_folders_of_this_machine_are_removed(tmp_path):
    here, elsewhere = folder_of(tmp_path, _here()), folder_of(tmp_path, "00000000")
    own = WorkFolder(tmp_path)
    WorkFolder(tmp_path)
    assert not here.exists()
    assert elsewhere.is_dir()
    assert own.path.is_dir()


def test_a_plugins_folder_stays_while_its_process_works_elsewhere(tmp_path):
    held = []
    folder_of(tmp_path, "00000000", locked_by=held)
    spooled = tmp_path / f"embedkit-{NOBODY}-stdin-abc"
    spooled.mkdir()
    WorkFolder(tmp_path)
    assert spooled.is_dir()
    os.close(held[0])
    WorkFolder(tmp_path)
    WorkFolder(tmp_path)
    assert not spooled.exists()


def said_by(script, *arguments, before=()):
    told = [*before, sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(told, capture_output=True, text=True, timeout=60)


FORKING = """
import gc, os, sys
from pathlib import Path
from embedkit.corpus.workdir import WorkFolder
parent = Path(sys.argv[1])
folder = WorkFolder(parent)
if not os.fork():
    folder = None
    gc.collect()
    sys.exit()
os.wait()
if not os.fork():
    WorkFolder(parent)  # sweeps, as a process of its own
    sys.exit()
os.wait()
print(sorted(path.name for path in parent.iterdir()) == [folder.path.name])
"""


def test_a_forked_process_takes_neither_the_folder_nor_its_lock_away(tmp_path):
    done = said_by(FORKING, tmp_path)
    assert done.stdout == "True\n", done.stderr
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from embedkit.corpus.workdir import WorkFolder
folder = WorkFolder(Path(sys.argv[1]))
(folder.path / "ids").write_bytes(b"0000")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_though_its_number_is_taken_again(tmp_path):
    said_by(KILLED, tmp_path)
    (left,) = tmp_path.iterdir()
    again = left.rename(left.with_name(left.name.replace(left.name.split("-")[1], str(os.getpid()))))
    WorkFolder(tmp_path)
    assert not again.exists()


SWEEPING = """
import sys
from pathlib import Path
from embedkit.corpus.workdir import WorkFolder
WorkFolder(Path(sys.argv[1]))
"""


def may_unshare():
    return (
        bool(shutil.which("unshare")) and not subprocess.run(["unshare", "-pf", "true"], capture_output=True).returncode
    )


@pytest.mark.skipif(not may_unshare(), reason="needs the right to make a container")
def test_a_run_in_another_container_leaves_a_live_folder_and_removes_a_killed_ones(tmp_path):
    own = WorkFolder(tmp_path)
    said_by(KILLED, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    done = said_by(SWEEPING, tmp_path, before=("unshare", "-pf"))
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == [own.path]
