"""What cannot fit is refused before it is begun, with what it needs and what would fit."""

import platform
import resource
import subprocess
import sys

import pytest

import embedkit
from embedkit import Corpus, EmbedkitError
from embedkit.memory import available_bytes, check_fits, readable


def test_there_is_some_memory():
    assert available_bytes() > 1 << 20


def test_what_fits_passes():
    check_fits(1000, "a thousand bytes", "none needed")


def test_what_does_not_fit_is_refused_with_the_remedy():
    with pytest.raises(
        EmbedkitError, match=r"^a monster would need 1,000 TB of memory and .* are free; feed it less\.$"
    ):
        check_fits(10**15, "a monster", "feed it less")


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(12, "12 bytes"), (1500, "1.5 kB"), (3_210_000_000, "3.21 GB"), (5e15, "5,000 TB")]
)
def test_bytes_are_said_as_people_say_them(n_bytes, text):
    assert readable(n_bytes) == text


def test_vectors_that_would_not_fit_are_refused_before_training():
    corpus = Corpus.from_sentences([[f"t{i}" for i in range(100_000)]] * 2)
    with pytest.raises(
        EmbedkitError, match=r"vectors of 100,000 tokens × 100,000 would need .* --vector-size of"
    ) as caught:
        embedkit.train(corpus, "skipgram", vector_size=100_000)
    assert "\n" not in str(caught.value)


def test_a_limit_of_the_process_counts():
    code = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_DATA, ({1 << 30}, {resource.RLIM_INFINITY}))\n"
        "from embedkit.memory import available_bytes\n"
        f"print(available_bytes() < {1 << 30})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has heaps of threads")
@pytest.mark.parametrize(("prepare", "many"), [("", True), ("from embedkit.memory import one_heap; one_heap()", False)])
def test_threads_share_one_heap_where_asked_to(prepare, many):
    script = f"""
import ctypes, threading
{prepare}
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
barrier = threading.Barrier(4)
def work():
    blocks = [bytes(100_000) for _ in range(100)]
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert (told.count("<heap nr=") > 1) == many
