"""What cannot fit is refused before it is begun, with what it needs and what would fit."""

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
