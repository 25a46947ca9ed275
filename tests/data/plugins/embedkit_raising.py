"""A plugin whose hooks raise."""

import embedkit


@embedkit.hookimpl
def register_trainers(register):
    raise RuntimeError("the licence\nhas run out")
