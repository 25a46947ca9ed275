"""How good vectors are: splits, ranking metrics and baselines for recommendations, tests of words.

parts = evaluation.leave_one_out(embedkit.read("sessions", input="clicks.csv"))
model = embedkit.train(parts.train, "skipgram")
evaluation.evaluate(model, parts.test, k=(10, 20))
"""

from embedkit.evaluation.baselines import EASE, ItemKNN, Popularity, TrainPart
from embedkit.evaluation.evaluating import Evaluation, difference, evaluate
from embedkit.evaluation.heldout import HeldOut, read_lines, read_prefixes
from embedkit.evaluation.metrics import Interval
from embedkit.evaluation.popularity import Band
from embedkit.evaluation.split_files import write_split
from embedkit.evaluation.splits import SPLITS, Split, by_time, leave_one_out, next_item, random
from embedkit.evaluation.stopping import EarlyStopping
from embedkit.evaluation.validation import Measure, Validation

__all__ = [
    "EASE",
    "SPLITS",
    "Band",
    "EarlyStopping",
    "Evaluation",
    "HeldOut",
    "Interval",
    "ItemKNN",
    "Measure",
    "Popularity",
    "Split",
    "TrainPart",
    "Validation",
    "by_time",
    "difference",
    "evaluate",
    "leave_one_out",
    "next_item",
    "random",
    "read_lines",
    "read_prefixes",
    "write_split",
]
