"""The study that a search is kept in: a SQLite file by Optuna, and what tells that it belongs to these data."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.corpus import Corpus
from embedkit.errors import EmbedkitError, missing_extra
from embedkit.evaluation import HeldOut
from embedkit.names import Names

if TYPE_CHECKING:
    import optuna

NAME = "embedkit"
_SETTING = "embedkit"
_SQLITE = b"SQLite format 3\x00"


def require_optuna() -> None:
    """Refuse to go on where Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise missing_extra("Optuna", "tune", "embedkit tune") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from writing lines of its own."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", module="optuna")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def fingerprint(corpus: Corpus, test: HeldOut) -> str:
    """Return a digest of what is learned from and of what is to be found."""
    digest = hashlib.blake2b(digest_size=16)
    rows = test.prefixes
    arrays = (
        *(corpus.ids, corpus.offsets, corpus.sentence_keys, corpus.times, corpus.weights),
        *(test.targets.indptr, test.targets.indices, *((rows.indptr, rows.indices) if rows is not None else ())),
    )
    for array in arrays:
        digest.update(b"-" if array is None else np.ascontiguousarray(array).data)
    for names in (corpus.tokens, corpus.keys, test.tokens, test.keys):
        for part in _bytes_of(names):
            digest.update(part)
    return digest.hexdigest()


def _bytes_of(names: Names | None) -> tuple[Any, ...]:
    return (b"-",) if names is None else (names.utf8.tobytes(), names.offsets.tobytes())


@contextlib.contextmanager
def open_study(path: Path | None, setting: Mapping[str, Any], seed: int) -> Iterator[optuna.study.Study]:
    """Open or begin the study in a file (None: in memory), for these data and this search; close it at the end.

    Parameters
    ----------
    setting
        What must be the same for its trials to be comparable, each with what an error calls it.

    Raises
    ------
    EmbedkitError
        If the file cannot be a study, or is one of another setting.
    """
    import optuna

    storage = None if path is None else _storage(path)
    try:
        yield _begun(storage, path, setting, seed)
    except (optuna.exceptions.StorageInternalError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _begun(
    storage: optuna.storages.RDBStorage | None, path: Path | None, setting: Mapping[str, Any], seed: int
) -> optuna.study.Study:
    import optuna

    try:
        study = optuna.create_study(storage=storage, study_name=NAME, direction="maximize", load_if_exists=True)
        _check_setting(study, setting, path)
        # Another seed each time it is gone on with, else the same would be drawn again.
        study.sampler = optuna.samplers.TPESampler(
            seed=seed + len(study.get_trials(deepcopy=False)), multivariate=True, group=True
        )
    except Exception as error:
        raise _unusable(path, error) from error
    return study


def _check_setting(study: optuna.study.Study, setting: Mapping[str, Any], path: Path | None) -> None:
    kept = study.user_attrs.get(_SETTING)
    if kept is None:
        if study.get_trials(deepcopy=False):
            raise EmbedkitError(f"{path} holds a study that embedkit did not begin; name another --study.")
        study.set_user_attr(_SETTING, dict(setting))
        return
    for name, value in setting.items():
        if kept.get(name) == value:
            continue
        if name == "fingerprint":
            raise EmbedkitError(f"{path} is the study of other data of the same size; name another --study.")
        raise EmbedkitError(
            f"{path} is the study of another search: there {name} is {_shown(kept.get(name))}, here "
            f"{_shown(value)}; name another --study."
        )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{k}={_shown(v)}" for k, v in value.items()) or "nothing"
    return str(value)


def _storage(path: Path) -> optuna.storages.RDBStorage:
    import optuna

    check_file(path)
    try:
        return optuna.storages.RDBStorage(
            f"sqlite:///{path}", engine_kwargs={"connect_args": {"factory": _Connection, "timeout": 30}}
        )
    except Exception as error:
        raise _unusable(path, error) from error


class _Connection(sqlite3.Connection):
    """Does not wait for the disk at each of the dozen commits of a trial; a loss of power costs the last ones alone."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.execute("pragma journal_mode = wal")
        self.execute("pragma synchronous = normal")


def _unusable(path: Path | None, error: Exception) -> EmbedkitError:
    if isinstance(error, EmbedkitError):
        return error
    reason = getattr(error, "orig", None) or error.__cause__ or error
    line = " ".join(str(reason).split())
    return EmbedkitError(f"cannot keep a study in {path}: {line.rstrip('.')}; name another --study.")


def check_file(path: Path) -> None:
    """Refuse what is no study before anything is written into it.

    Raises
    ------
    EmbedkitError
        If the file cannot be written, or is something else.
    """
    folder = path.parent
    if "?" in str(path):
        raise EmbedkitError(f"{path}: a study's name cannot hold a question mark; name another --study.")
    if path.is_dir() or not folder.is_dir():
        what = "it is a folder" if path.is_dir() else f"there is no folder {folder}"
        raise EmbedkitError(f"cannot keep a study in {path}: {what}; name another --study.")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise EmbedkitError(f"cannot write {path}: no permission; name another --study.")
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            raise EmbedkitError(f"{path} is there already and is no study (no SQLite file); name another --study.")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            tables = {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}
        except sqlite3.Error as error:
            raise _unusable(path, error) from error
    if tables and "studies" not in tables:
        raise EmbedkitError(f"{path} is a SQLite file of something else, no study; name another --study.")
