"""The search for the trainer and the options that serve some data best, on a part held out of them.

found = embedkit.tune("sessions", input="clicks.csv", trainers=("als", "spectral"), trials=30)
embedkit.train("sessions", found.best.trainer, input="clicks.csv", **found.best.options)
"""

from embedkit.tuning.search import Tuning, tune
from embedkit.tuning.trials import Trial

__all__ = ["Trial", "Tuning", "tune"]
