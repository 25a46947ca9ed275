"""Ctrl-C is held back while compiled code of others runs."""

import signal
import threading

import pytest

from embedkit.atlas.signals import held_back


@pytest.fixture
def before():
    """Give Python's own handler, set for a while."""
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, found)


def test_it_is_heard_when_the_block_is_over(before):
    done = []

    def work():
        with held_back():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_of_the_block_goes_first(before):
    def work():
        with held_back():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("of the block")

    with pytest.raises(ValueError, match="of the block"):
        work()
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_have_no_say_in_it(before):
    found = []

    def work():
        with held_back():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_where_it_is_ignored_it_stays_so(before):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_back():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.raise_signal(signal.SIGINT)
