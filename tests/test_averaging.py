"""Skip-gram in partitions: how ways are joined, in how many rounds, and that frequent tokens do not overshoot."""

import numpy as np
import pytest

import embedkit
from embedkit.engines.local import LocalEngine
from embedkit.trainers.sampling.averaging import Way, rounds_an_epoch

TAU = 120.0


def ways(n: int, steps: float, way: float = 1.0) -> Way:
    """Return what n partitions bring back of one vector that each steps on so often."""
    one = Way.of(np.full((1, 2), way, np.float32), np.zeros((1, 2), np.float32), np.array([steps]), TAU)
    joined = one
    for _ in range(n - 1):
        joined = joined.plus(one)
    return joined


def still() -> np.ndarray:
    return np.zeros((1, 2), np.float32)


def test_one_partition_goes_its_own_way():
    for steps in (0.0, 3.0, 1e6):
        np.testing.assert_allclose(ways(1, steps).joint(TAU, still()), 1.0, rtol=1e-6)


def test_ways_of_rare_tokens_add_up():
    np.testing.assert_allclose(ways(4, 0.01).joint(TAU, still()), 4.0, rtol=1e-3)


def test_ways_of_frequent_tokens_are_a_mean_at_first_and_add_up_with_time():
    velocity = still()
    first = ways(4, 1e6).joint(TAU, velocity)
    np.testing.assert_allclose(first, 1 + 0.75, rtol=1e-6)  # the mean, and Nesterov's look ahead
    for _ in range(60):
        last = ways(4, 1e6).joint(TAU, velocity)
    np.testing.assert_allclose(last, 4.0, rtol=1e-4)


def test_a_frequent_token_arrives_where_sums_would_swing_ever_wider():
    target, at, velocity = 1.0, np.zeros((1, 2), np.float32), still()
    for _ in range(200):
        at = at + ways(4, 1e6, float(target - at[0, 0])).joint(TAU, velocity)
    np.testing.assert_allclose(at, target, atol=1e-3)


def test_an_epoch_has_fewer_rounds_where_there_is_little():
    assert rounds_an_epoch(50, 2) == 1
    assert rounds_an_epoch(20_000, 2) == 10
    assert rounds_an_epoch(10**9, 2) == rounds_an_epoch(10**8, 4) == 48


@pytest.mark.parametrize("partitions", [2, 4])
def test_few_and_frequent_tokens_do_not_diverge(tmp_path, partitions):
    draws = np.random.default_rng(3)
    chains = draws.integers(0, 2, 2000)[:, None] * 20 + draws.integers(0, 20, (2000, 20))
    text = tmp_path / "chains.txt"
    text.write_text("\n".join(" ".join(f"w{word}" for word in line) for line in chains) + "\n")
    call = {"input": text, "vector_size": 16, "epochs": 5, "alpha": 0.05, "sample": 0.0}
    whole = embedkit.train("text", "skipgram", workers=1, **call)
    with LocalEngine(partitions=partitions) as engine:
        apart = embedkit.train("text", "skipgram", engine=engine, **call)
    assert apart.losses[-1] == pytest.approx(whole.losses[-1], rel=0.1)
    for word in ("w0", "w25"):
        near = [token for token, _ in apart.most_similar(word, topn=10)]
        assert sum((int(token[1:]) < 20) == (word == "w0") for token in near) >= 9
