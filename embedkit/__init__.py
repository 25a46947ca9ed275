"""embedkit learns dense vectors from co-occurrence sentences and turns them into recommendations.

The public names are resolved on first access, so that importing embedkit costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedkit.checkpoints import Checkpoint as Checkpoint
    from embedkit.contracts import Exporter as Exporter
    from embedkit.contracts import History as History
    from embedkit.contracts import QueryContext as QueryContext
    from embedkit.contracts import Run as Run
    from embedkit.contracts import Sentence as Sentence
    from embedkit.contracts import SentenceBatch as SentenceBatch
    from embedkit.contracts import Source as Source
    from embedkit.contracts import Trainer as Trainer
    from embedkit.corpus import Corpus as Corpus
    from embedkit.embeddings import Embeddings as Embeddings
    from embedkit.embeddings import load as load
    from embedkit.embeddings.importing import import_vectors as import_vectors
    from embedkit.engines import make_engine as make_engine
    from embedkit.errors import EmbedkitError as EmbedkitError
    from embedkit.errors import EmptyInputError as EmptyInputError
    from embedkit.errors import ModelError as ModelError
    from embedkit.errors import OptionError as OptionError
    from embedkit.errors import PluginError as PluginError
    from embedkit.errors import SourceError as SourceError
    from embedkit.errors import UnknownNameError as UnknownNameError
    from embedkit.errors import did_you_mean as did_you_mean
    from embedkit.errors import missing_extra as missing_extra
    from embedkit.evaluation import EarlyStopping as EarlyStopping
    from embedkit.evaluation import Validation as Validation
    from embedkit.extending import extend as extend
    from embedkit.growing import update as update
    from embedkit.hookspecs import hookimpl as hookimpl
    from embedkit.memory import available_bytes as available_bytes
    from embedkit.memory import check_fits as check_fits
    from embedkit.names import Names as Names
    from embedkit.options import Between as Between
    from embedkit.options import option as option
    from embedkit.training import make_source as make_source
    from embedkit.training import read as read
    from embedkit.training import train as train
    from embedkit.tuning import tune as tune

_HOMES = {
    "embedkit.checkpoints": ("Checkpoint",),
    "embedkit.contracts": (
        "Exporter",
        "History",
        "QueryContext",
        "Run",
        "Sentence",
        "SentenceBatch",
        "Source",
        "Trainer",
    ),
    "embedkit.corpus": ("Corpus",),
    "embedkit.embeddings": ("Embeddings", "load"),
    "embedkit.engines": ("make_engine",),
    "embedkit.embeddings.importing": ("import_vectors",),
    "embedkit.errors": (
        "EmbedkitError",
        "EmptyInputError",
        "ModelError",
        "OptionError",
        "PluginError",
        "SourceError",
        "UnknownNameError",
        "did_you_mean",
        "missing_extra",
    ),
    "embedkit.extending": ("extend",),
    "embedkit.evaluation": ("EarlyStopping", "Validation"),
    "embedkit.growing": ("update",),
    "embedkit.hookspecs": ("hookimpl",),
    "embedkit.memory": ("available_bytes", "check_fits"),
    "embedkit.names": ("Names",),
    "embedkit.options": ("Between", "option"),
    "embedkit.training": ("make_source", "read", "train"),
    "embedkit.tuning": ("tune",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        from embedkit.errors import DISTRIBUTION

        try:
            return version(DISTRIBUTION)
        except PackageNotFoundError:
            return "0+unknown"
    if name not in _HOME:
        raise AttributeError(f"module 'embedkit' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
