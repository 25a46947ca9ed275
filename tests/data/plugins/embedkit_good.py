"""A plugin in which everything is right: each hook registers one thing."""

from dataclasses import dataclass
from typing import Literal

import embedkit


class Letters(embedkit.Source):
    """Each word of a file is a sentence of letters; the file's first word is its key."""

    name = "letters"
    defaults = {"epochs": 2, "vector_size": 4}

    @dataclass(frozen=True)
    class Options:
        input: tuple[str, ...] = embedkit.option((), "Files of words.", metavar="FILE")
        upper: bool = embedkit.option(False, "Turn letters into capitals.")
        cut: int | Literal["never"] = embedkit.option("never", "Letters to keep of a word.", minimum=1)
        order: Literal["forward", "backward"] = embedkit.option("forward", "Which letter comes first.")

    def sentences(self):
        for path in self.options.input:
            with open(path, encoding="utf-8") as file:
                words = file.read().split()
            for word in words:
                if not word.isalpha():
                    self.dropped["words that are not of letters"] += 1
                    continue
                word = word.upper() if self.options.upper else word
                word = word if self.options.cut == "never" else word[: self.options.cut]
                word = word if self.options.order == "forward" else word[::-1]
                yield embedkit.Sentence(list(word), key=words[0])

    def labels(self):
        return ((letter, f"letter {letter}") for letter in "abcdefghijklmnopqrstuvwxyz")


class Random(embedkit.Trainer):
    """Random vectors, to compare with."""

    name = "random"

    @dataclass(frozen=True)
    class Options:
        vector_size: int = embedkit.option(100, "Numbers in a vector.", minimum=1)
        epochs: int = embedkit.option(5, "Passes over the corpus.", minimum=1)
        fail: Literal["never", "memory", "disk", "bug", "interrupt", "wait"] = embedkit.option("never", "How to fail.")
        seed: int = embedkit.option(1, "Seed of the random numbers.", minimum=0)

    def train(self, corpus, options, run):
        import errno
        import time

        import numpy as np

        rng = np.random.default_rng(options.seed)
        vectors = rng.standard_normal((len(corpus.tokens), options.vector_size), dtype=np.float32)

        def snapshot():
            return embedkit.Embeddings.from_corpus(corpus, vectors)

        for epoch in range(options.epochs):
            run.progress(epoch + 0.5, options.epochs, unit="epochs", loss=1.0, snapshot=snapshot)
            run.epoch_done(1.0, snapshot)
            if options.fail == "memory":
                raise MemoryError("Unable to allocate 8.00 EiB")
            if options.fail == "disk":
                raise OSError(errno.ENOSPC, "No space left on device", "vectors.tmp")
            if options.fail == "bug":
                raise RuntimeError("the vectors\nare upside down")
            if options.fail == "interrupt":
                raise KeyboardInterrupt
            if options.fail == "wait":
                run.say("now waiting")
                for tenth in range(300):
                    time.sleep(0.1)
                    run.progress(1 + tenth / 1000, options.epochs, unit="epochs", loss=1.0, snapshot=snapshot)
        return snapshot()


def last(history, context):
    """The last token alone."""
    import numpy as np

    queries = np.zeros((len(history), context.vectors.shape[1]), np.float32)
    for row, ids in enumerate(history):
        if len(ids):
            queries[row] = context.vectors[ids[-1]]
    return queries


class Lines(embedkit.Exporter):
    """A token a line."""

    name = "lines"

    def write(self, embeddings, target, options):
        with open(target, "w", encoding="utf-8") as file:
            file.writelines(f"{token}\n" for token in embeddings.tokens)


@embedkit.hookimpl
def register_sources(register):
    register(Letters)


@embedkit.hookimpl
def register_trainers(register):
    register(Random)


@embedkit.hookimpl
def register_query_builders(register):
    register("last", last)


@embedkit.hookimpl
def register_exporters(register):
    register(Lines)
