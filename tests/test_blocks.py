"""The shape of blocks: whole tiles always, and few centres where steps on one vector would pile up."""

from hypothesis import given
from hypothesis import strategies as st

from embedkit.trainers.sampling.blocks import block_shape


def test_english_text_with_the_defaults_gets_full_blocks():
    shape = block_shape(contexts=6, negative=5, alpha=0.025, largest_share=0.012)
    assert (shape.capacity, shape.negatives, shape.centres) == (24, 24, 24)


def test_cbow_gets_more_centres_and_fewer_negatives():
    shape = block_shape(contexts=1, negative=5, alpha=0.1, largest_share=0.012)
    assert (shape.capacity, shape.negatives, shape.centres) == (32, 16, 32)


def test_a_handful_of_tokens_gets_a_centre_at_a_time():
    assert block_shape(contexts=8, negative=5, alpha=0.1, largest_share=0.2).centres == 1


@given(st.floats(1, 10_000), st.integers(1, 1000), st.floats(1e-6, 100), st.floats(1e-9, 1))
def test_any_shape_is_one_that_the_kernels_take(contexts, negative, alpha, largest_share):
    shape = block_shape(contexts, negative, alpha, largest_share)
    assert shape.capacity % 8 == 0
    assert (shape.capacity + shape.negatives) % 16 == 0
    assert 1 <= shape.centres <= shape.capacity
    assert 16 <= shape.negatives <= 504
