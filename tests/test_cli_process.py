"""The command as a process of its own: pipes, a closed pipe, Ctrl-C, a terminal of 80 columns."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import embedkit
from embedkit.contracts import History

FAKE = Path(__file__).parent / "data" / "plugins"
EMBEDKIT = [sys.executable, "-m", "embedkit"]
TRAIN = [*EMBEDKIT, "train", "--source", "letters", "--trainer", "random", "--input", "words.txt"]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and terminals as POSIX has them")


@pytest.fixture
def env(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("anna bell cello", encoding="utf-8")
    # Without a buffer, nothing is left to write when the interpreter ends: most people have one.
    changed = ("EMBEDKIT_", "COLUMNS", "NO_COLOR", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(changed)}
    path = os.pathsep.join(filter(None, [str(FAKE), os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, "EMBEDKIT_PLUGINS": "embedkit-toolkit,good", "TERM": "xterm"}


def wait_for(stream, words):
    """Read a process's lines until one holds `words`."""
    for line in stream:
        if words in line:
            return
    pytest.fail(f"{words!r} never came")


def make_model(n_keys=3, path="embedkit.safetensors"):
    rng = np.random.default_rng(1)
    tokens = [f"item{i}" for i in range(50)]
    tokens[0] = "고양이"
    labels = ["", *(f"나무위키 {'아주 ' * (i % 40)}긴 이름 {i}" for i in range(1, 50))]
    histories = History(np.arange(n_keys + 1), np.arange(n_keys, dtype=np.int32) % 50)
    embeddings = embedkit.Embeddings(
        tokens,
        rng.standard_normal((50, 8), np.float32),
        labels=labels,
        counts=np.arange(50, 0, -1),
        keys=[f"user{i}" for i in range(n_keys)],
        histories=histories,
    )
    embeddings.save(path)


def test_a_pipe_gets_a_few_lines_and_no_bar(env):
    done = subprocess.run(TRAIN, env=env, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout == ""
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["Read", "Wrote", "Next:"]
    assert "\x1b" not in done.stderr


def test_a_closed_pipe_ends_quietly(env):
    make_model(n_keys=20_000)
    command = f"{sys.executable} -m embedkit recommend --all --format csv | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True)
    assert done.stdout == "key,token,label,score\n0\n"
    assert done.stderr == ""


def test_results_go_to_stdout_in_utf8_whatever_the_locale(env):
    make_model()
    done = subprocess.run(
        [*EMBEDKIT, "similar", "item1", "--topn", "50", "--format", "json"],
        env={**env, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert '"token": "고양이"' in done.stdout.decode("utf-8")


def test_a_name_that_is_no_unicode_is_just_unknown(env):
    make_model()
    done = subprocess.run([*map(os.fsencode, EMBEDKIT), b"similar", b"\xff\xfe"], env=env, capture_output=True)
    assert done.returncode == 1
    assert done.stderr.startswith(b"embedkit: there is no token")
    assert done.stderr.count(b"\n") == 1


def test_items_come_from_standard_input(env):
    make_model()
    done = subprocess.run(
        [*EMBEDKIT, "recommend", "--item", "-", "--format", "jsonl", "--topn", "1"],
        input="item1\r\nitem2\n\n".encode("utf-8-sig"),
        env=env,
        capture_output=True,
    )
    assert done.stdout.startswith(b'{"query": "item1, item2", "token": '), done.stderr


def test_ctrl_c_saves_what_was_learned(env):
    Path("embedkit.safetensors").write_text("old")
    process = subprocess.Popen([*TRAIN, "--fail", "wait"], env=env, stderr=subprocess.PIPE, text=True)
    wait_for(process.stderr, "now waiting")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "saved as embedkit.safetensors.partial; embedkit.safetensors is as it was." in stderr
    assert "Traceback" not in stderr
    assert Path("embedkit.safetensors").read_text() == "old"
    assert len(embedkit.load("embedkit.safetensors.partial")) == 7
    assert sorted(os.listdir()) == ["embedkit.safetensors", "embedkit.safetensors.partial", "words.txt"]


def test_ctrl_c_while_reading_saves_nothing_and_says_so(env):
    os.mkfifo("fifo")
    process = subprocess.Popen([*TRAIN, "fifo"], env=env, stderr=subprocess.PIPE, text=True)
    with open("fifo", "w") as writing:  # opens when the source does
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
        writing.close()
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "embedkit: interrupted before anything was learned: nothing is saved."
    assert not Path("embedkit.safetensors").exists()


def test_ctrl_c_ends_waiting_for_a_silent_pipe(env):
    os.mkfifo("fifo")
    command = [*EMBEDKIT, "train", "--source", "text", "--input", "fifo"]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    with open("fifo", "w") as writing:
        writing.write("a b c " * 100)
        writing.flush()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "embedkit: interrupted before anything was learned: nothing is saved."


class Terminal:
    """A terminal of 80 columns with a command in it."""

    def __init__(self, command, env):
        import fcntl
        import pty
        import struct
        import termios

        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

        def own_the_terminal():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            command,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=own_the_terminal,
        )
        os.close(theirs)
        self._data = b""
        self.screen = ""

    def read(self, until=None):
        """Read until some words were shown, or until the command is over."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (until and until in self.screen):
            if select.select([self.ours], [], [], 0.2)[0]:
                try:
                    more = os.read(self.ours, 65536)
                except OSError:  # the command is over
                    break
                if not more:
                    break
                self._data += more
                self.screen = self._data.decode("utf-8", "replace")
        return self.screen

    def type(self, keys):
        os.write(self.ours, keys)

    def close(self):
        code = self.process.wait(timeout=20)
        os.close(self.ours)
        return code


def plain(screen):
    import re

    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).replace("\r", "\n")


def test_a_terminal_gets_a_bar_that_fits_and_ctrl_c_works_on_it(env):
    from embedkit.cli.text import width

    terminal = Terminal([*TRAIN, "--fail", "wait"], env)
    terminal.read(until="epochs/s")
    terminal.type(b"\x03")
    screen = plain(terminal.read())
    assert terminal.close() == 130
    assert "%" in screen
    assert "epoch 2/2" in screen
    assert "saved as embedkit.safetensors.partial" in " ".join(screen.split())
    bars = [line for line in screen.splitlines() if "loss" in line]
    assert bars
    assert all(width(line.rstrip()) <= 80 for line in bars)


def test_a_terminal_gets_a_table_in_colours_that_fits(env):
    from embedkit.cli.text import width

    make_model()
    terminal = Terminal([*EMBEDKIT, "recommend", "user1"], env)
    screen = terminal.read()
    assert terminal.close() == 0
    assert "\x1b[1muser1" in screen
    lines = [line for line in plain(screen).splitlines() if line.strip()]
    assert len(lines) == 11
    assert {width(line) for line in lines} == {80}


def test_no_color_is_respected(env):
    make_model()
    terminal = Terminal([*EMBEDKIT, "recommend", "user1"], {**env, "NO_COLOR": "1"})
    assert "\x1b" not in terminal.read()
    assert terminal.close() == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk to write to")
def test_a_full_disk_is_one_line(env):
    make_model()
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*EMBEDKIT, "recommend", "user1"], env=env, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.startswith("embedkit: the disk is full")
    assert done.stderr.count("\n") == 1


def test_closed_streams_are_no_bug(env):
    make_model()
    for closed, code in (("recommend user1 >&-", 0), ("recommend nobody 2>&-", 1)):
        done = subprocess.run(["sh", "-c", f"{sys.executable} -m embedkit {closed}"], env=env, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_a_bar_says_what_is_being_done():
    from embedkit.cli.terminal import TerminalRun

    run = TerminalRun(epochs=3)
    said = [run._phase(False, unit) for unit in ("tokens read", "tokens counted", "rows ranked", "parts")]
    assert said == ["reading", "counting", "ranking", "learning"]
    assert run._phase(True, "tokens") == "epoch 1/3"
    assert TerminalRun(phase="writing")._phase(False, "rows") == "writing"
