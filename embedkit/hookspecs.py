"""The hooks a plugin can implement. Each is called once, with a function to register things with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from embedkit.contracts import Exporter, QueryBuilder, Source, Trainer

NAMESPACE = "embedkit"
hookspec = pluggy.HookspecMarker(NAMESPACE)
hookimpl = pluggy.HookimplMarker(NAMESPACE)


@hookspec
def register_sources(register: Callable[[type[Source]], None]) -> None:
    """Register sources of sentences.

    Examples
    --------
    A source of recipes, one a line, ingredients parted by commas::

        from dataclasses import dataclass

        import embedkit


        class Recipes(embedkit.Source):
            "Recipes, one a line, their ingredients parted by commas."

            name = "recipes"

            @dataclass(frozen=True)
            class Options:
                input: tuple[str, ...] = embedkit.option(help="Files of recipes.")

            def sentences(self):
                for path in self.options.input:
                    with open(path, encoding="utf-8") as lines:
                        for line in lines:
                            yield embedkit.Sentence(line.strip().split(","))


        @embedkit.hookimpl
        def register_sources(register):
            register(Recipes)
    """


@hookspec
def register_trainers(register: Callable[[type[Trainer]], None]) -> None:
    """Register ways of learning vectors.

    Examples
    --------
    Random vectors, the baseline that anything learned should beat::

        from dataclasses import dataclass

        import embedkit


        class Random(embedkit.Trainer):
            "Random vectors, to compare with."

            name = "random"

            @dataclass(frozen=True)
            class Options:
                vector_size: int = embedkit.option(100, "Numbers in a vector.", minimum=1)
                seed: int = 1

            def train(self, corpus, options, run):
                import numpy as np

                rng = np.random.default_rng(options.seed)
                shape = (len(corpus.tokens), options.vector_size)
                vectors = rng.standard_normal(shape, dtype=np.float32)
                return embedkit.Embeddings.from_corpus(corpus, vectors)


        @embedkit.hookimpl
        def register_trainers(register):
            register(Random)
    """


@hookspec
def register_query_builders(register: Callable[[str, QueryBuilder], None]) -> None:
    """Register ways to make a query vector of a history; a model names the one that it is queried with.

    Examples
    --------
    A query that is the vector of the last token alone::

        import embedkit


        def last(history, context):
            import numpy as np

            queries = np.zeros((len(history), context.vectors.shape[1]), np.float32)
            for row, ids in enumerate(history):
                if len(ids):
                    queries[row] = context.vectors[ids[-1]]
            return queries


        @embedkit.hookimpl
        def register_query_builders(register):
            register("last", last)
    """


@hookspec
def register_exporters(register: Callable[[type[Exporter]], None]) -> None:
    r"""Register formats that vectors can be written in.

    Examples
    --------
    One JSON object a line (`embedkit export --to jsonl FILE`)::

        import json

        import embedkit


        class JsonLines(embedkit.Exporter):
            "One JSON object a line: token, vector."

            name = "jsonl"

            def write(self, embeddings, target, options):
                with open(target, "w", encoding="utf-8") as file:
                    for token, vector in zip(embeddings.tokens, embeddings.vectors):
                        json.dump({"token": token, "vector": vector.tolist()}, file)
                        file.write("\n")


        @embedkit.hookimpl
        def register_exporters(register):
            register(JsonLines)
    """
