"""A plugin one of whose hooks has a slip of the pen; the other one works."""

import embedkit


class Fine(embedkit.Source):
    """What was spelt rightly still counts."""

    name = "fine"

    def sentences(self):
        return [embedkit.Sentence(["a", "b"])]


@embedkit.hookimpl
def register_source(register):
    register(Fine)


@embedkit.hookimpl
def register_sources(register):
    register(Fine)
