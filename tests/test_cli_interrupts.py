"""Ctrl-C, heard once."""

import math
import os
import signal
import subprocess
import sys

import pytest

import embedkit
from embedkit.cli import interrupts
from embedkit.cli.failures import explain

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


@pytest.fixture
def handler(monkeypatch):
    """Give back the handler that there was, and forget what was heard."""
    monkeypatch.setattr(interrupts, "_heard", -math.inf)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("handler")
def test_the_second_of_two_does_not_break_off_what_the_first_has_begun():
    interrupts.hear_once()
    cleared_up = False
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - as where something is cleared up
        try:
            press()
        finally:
            press()
            press()
            cleared_up = True
    assert cleared_up


@pytest.mark.usefixtures("handler")
def test_after_a_while_it_is_heard_again(monkeypatch):
    monkeypatch.setattr(interrupts, "_AGAIN", -1.0)
    interrupts.hear_once()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            press()


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize("taken", [signal.SIG_IGN, lambda number, frame: None])
def test_where_it_is_ignored_or_taken_it_stays_so(taken):
    signal.signal(signal.SIGINT, taken)
    interrupts.hear_once()
    assert signal.getsignal(signal.SIGINT) is taken


@pytest.mark.usefixtures("handler")
def test_what_must_not_be_broken_off_hears_none():
    interrupts.hear_once()
    with interrupts.deaf():
        press()
    with pytest.raises(KeyboardInterrupt):
        press()


@pytest.mark.usefixtures("handler")
def test_what_compiled_code_makes_of_it_is_no_bug():
    assert explain(ValueError("invalid matrix"))[0].startswith("this is a bug in embedkit")
    interrupts.hear_once()
    with pytest.raises(KeyboardInterrupt):
        press()
    assert explain(ValueError("invalid matrix")) == ("interrupted.", 130)
    assert explain(embedkit.EmbedkitError("the disk is full.")) == ("the disk is full.", 1)


def test_the_command_hears_it_once(tmp_path):
    code = (
        "import os, signal, sys, embedkit.cli.app as app\n"
        "def main(*args):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    finally:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        print('cleared up')\n"
        "app.app = main\n"
        "from embedkit.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "cleared up\n", "")
