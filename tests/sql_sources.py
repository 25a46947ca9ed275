"""Reading source `sql`, for the tests of each database."""

import pytest
from conftest import needs

import embedkit
from embedkit.options import build
from embedkit_sql import Options, Sql

needs("sqlalchemy")


def source(**options):
    return Sql(build(Options, options))


def read(made):
    """Return (key, tokens, weights, times) of all sentences, batch by batch."""
    found = []
    for batch in made.batches():
        tokens, keys = batch.tokens.to_pylist(), batch.keys.to_pylist()
        for s, key in enumerate(keys):
            span = slice(batch.offsets[s], batch.offsets[s + 1])
            weights = None if batch.weights is None else batch.weights[span].tolist()
            found.append((key, tokens[span], weights, None if batch.times is None else batch.times[span].tolist()))
    return found


def refused(**options):
    """Return the one line that reading ends with."""
    with pytest.raises(embedkit.EmbedkitError) as caught:
        read(source(**options))
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message
