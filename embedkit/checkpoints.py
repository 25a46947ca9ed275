"""States of a training kept on the disk, so that one that was killed goes on from the last."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.contracts import Run
from embedkit.errors import EmbedkitError, ModelError, OptionError

if TYPE_CHECKING:
    import numpy as np

    from embedkit.contracts import Trainer
    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings

FILE = "state.safetensors"
FORMAT_VERSION = 1
LEARNED = "learned"
_METADATA = "embedkit.state"
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_BLOCK = 1 << 22  # numbers hashed, or looked at, at a time
_HUGE = 1e18  # what no training comes near to
_PARTS_OF_ANOTHER = {
    "patience", "validation", "validation_share", "validation_layout", "validation_seed", "validation_rows",
    "include_seen", "retrain",
}  # fmt: skip
"""Settings of early stopping, which go unmentioned where there is none on one side."""
_PER_TOKEN, _PER_SENTENCE = ("ids", "weights", "times"), ("offsets", "sentence_keys")


@dataclass(frozen=True)
class Checkpoint:
    """Where states of a training are kept, how often, and whether to go on from the one that is there.

    There is one state at a time, written beside the one before and renamed, so that whenever the process is killed one
    of them is whole. A training that goes on from a state with one worker ends with the same bits as one that was never
    interrupted. A state is of one corpus and one set of options; with others it is refused.

    Parameters
    ----------
    folder
        Where; it is made where it does not exist.
    every
        `"10min"`, `"30s"`, `"2h"`, or `"1epoch"`, `"5epochs"`.
    resume
        Whether to go on from the state that is there; where there is none, training begins anew. Without it, a folder
        that holds a state is refused.
    of
        A mark that states get, to be known by; `update` sets one of its own.

    Raises
    ------
    OptionError
        If `every` is neither a time nor a number of epochs.

    Examples
    --------
    >>> embedkit.train("text", input="wiki.txt", checkpoint=Checkpoint("states", every="10min", resume=True))
    """

    folder: str | Path
    every: str = "10min"
    resume: bool = False
    of: str = ""

    def __post_init__(self) -> None:
        if self._interval is None:
            raise OptionError("every", f"must be a time or epochs: 30s, 10min, 2h, 1epoch; got {self.every!r}.")

    @property
    def path(self) -> Path:
        """The file that the state is kept in."""
        return Path(self.folder) / FILE

    @property
    def seconds(self) -> float | None:
        """The time between states; None where epochs are counted."""
        number, unit = self._interval or (0.0, "")
        return number * _SECONDS[unit] if unit in _SECONDS else None

    @property
    def epochs(self) -> int:
        """The epochs between states; 0 where time is."""
        return 0 if self.seconds is not None else int((self._interval or (0.0, ""))[0])

    @property
    def _interval(self) -> tuple[float, str] | None:
        """The number and the unit of `every`, or None where it is no interval."""
        found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d+)?)\s*(s|min|h|epochs?)\s*", str(self.every))
        if found is None or float(found[1]) == 0 or (found[2].startswith("epoch") and "." in found[1]):
            return None
        return float(found[1]), found[2]

    def check(self, trainer: type[Trainer]) -> None:
        """Refuse a trainer that keeps no state."""
        if not trainer.resumes:
            raise EmbedkitError(f"trainer {trainer.name!r} keeps no state to go on from; leave --checkpoint out.")

    def prepare(self) -> None:
        """Make the folder, and see that it can be written to and holds no state that would be lost.

        Raises
        ------
        EmbedkitError
            If it cannot, or does and `resume` was not asked for; or another training is using it.
        """
        from embedkit.embeddings.replacing import check_writable

        try:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EmbedkitError(f"{self.folder} cannot be made a folder: {error.strerror}. Name another.") from error
        check_writable(self.path)
        with self.held():
            pass
        if self.path.exists() and not self.resume:
            raise EmbedkitError(
                f"{self.folder} holds the state of a training that did not end: --resume goes on with it, or remove it."
            )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other trainings out of the folder for as long as the block lasts.

        Raises
        ------
        EmbedkitError
            If another training has it.
        """
        from embedkit.embeddings.replacing import locked

        with locked(Path(self.folder)) as free:
            if not free:
                raise EmbedkitError(
                    f"{self.folder} is in use by another training: wait for its end, or name another folder."
                )
            yield

    def keeper(self, run: Run, identity: Mapping[str, Any]) -> Keeper:
        """Return a run that keeps states of this training, and hands out the one to go on from.

        Raises
        ------
        EmbedkitError
            If the state that is there is damaged, or of another training: the message says what changed.
        """
        state = None
        if self.resume and self.path.exists():
            state, told = _read(self.path)
            _refuse_changed(told["identity"], identity, self.folder)
            losses = state["losses"]
            whole = f"{len(losses)} whole epoch{'s' * (len(losses) != 1)}"
            run.say(f"Going on from the state of {told['kept']}, after {whole}.")
            run.goes_on(len(losses))
        elif self.resume:
            run.say(f"There is no state in {self.folder} yet, so training begins anew.")
        return Keeper(run, self, {**identity, "of": self.of}, state)

    @property
    def mark(self) -> str | None:
        """The mark of the state that is there; None where there is none, or none that can be read."""
        from embedkit.embeddings.safetensors import read_header

        if not self.path.exists():
            return None
        try:
            told = json.loads(read_header(self.path).metadata[_METADATA])["identity"]["of"]
        except (ModelError, KeyError, TypeError, ValueError, RecursionError):
            return None
        return told if isinstance(told, str) else None

    def clear(self) -> None:
        """Remove the state, as when what was learned is saved."""
        self.path.unlink(missing_ok=True)


class Keeper(Run):
    """Stands between a trainer and a run, and writes down states as often as a checkpoint says."""

    def __init__(
        self, run: Run, checkpoint: Checkpoint, identity: Mapping[str, Any], state: Mapping[str, np.ndarray] | None
    ) -> None:
        super().__init__(work_dir=run.work_dir, start=run.start, state=state, engine=run.engine, drift=run.drift)
        self._run, self._checkpoint, self._identity = run, checkpoint, identity
        self._last, self._epochs = time.monotonic(), 0

    def say(self, message: str) -> None:
        """Hand on."""
        self._run.say(message)

    def progress(self, done: float, total: float, **more: Any) -> None:
        """Hand on."""
        self._run.progress(done, total, **more)

    def epoch_done(self, loss: float, snapshot: Callable[[], Embeddings]) -> bool:
        """Hand on."""
        return self._run.epoch_done(loss, snapshot)

    def wants_state(self) -> bool:
        """Tell whether the time since the last state is over."""
        seconds = self._checkpoint.seconds
        return seconds is not None and time.monotonic() - self._last >= seconds

    def keep_state(self, state: Callable[[], Mapping[str, np.ndarray]], *, epoch_over: bool = False) -> None:
        """Write a state down if it is time; where that fails, say so and go on, as the state before is whole."""
        self.state = None  # what was gone on from lies in a file, whose room on the disk is now given back
        self._epochs += epoch_over
        epochs = self._checkpoint.epochs
        if self.wants_state() or (epochs and self._epochs >= epochs):
            try:
                _write(self._checkpoint.path, state(), self._identity)
            except ModelError as error:
                self._run.say(f"No state was kept this time: {error}")
            self._last, self._epochs = time.monotonic(), 0


def identity_of(
    corpus: Corpus, trainer: str, options: Mapping[str, Any], run: Run, files: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Return what must be the same for a training to go on: its options, and digests of all that is learned from.

    `files` are those that decide besides the corpus, such as what early stopping measures by, each under the name that
    an error has for it.
    """
    parts = {name: getattr(corpus, name) for name in (*_PER_TOKEN, *_PER_SENTENCE)}
    digests = {name: digest([array]) for name, array in parts.items() if array is not None}
    for name, names in (("tokens", corpus.tokens), ("keys", corpus.keys), ("labels", corpus.labels)):
        if names is not None:
            digests |= {name: digest([names.utf8, names.offsets])}
    for name, path in (files or {}).items():
        digests |= digest_of_file(name, path)
    if run.start is not None:
        digests |= {"model": digest_of_model(run.start)}
        options = {**options, "drift": run.drift}
    return {
        "trainer": trainer,
        "options": json.loads(json.dumps(dict(options), default=str)),
        "n_tokens": corpus.n_tokens,
        "vocabulary": len(corpus.tokens),
        "data": digests,
    }


def note_of(corpus: Corpus) -> dict[str, Any]:
    """Return what a model's config tells of the sentences that it was made of, under `LEARNED`."""
    return {"sentences": corpus.n_sentences, "tokens": corpus.n_tokens, "digest": fingerprint(corpus)}


def fingerprint(corpus: Corpus) -> str:
    """Return a digest of a corpus, all but its labels: 32 hexadecimal digits.

    Tokens that were left out as too rare are not in it. An update leaves out none that its model has, so the digest of
    an input changes when one that was too rare has joined meanwhile.
    """
    numbers = (corpus.ids, corpus.offsets, corpus.sentence_keys, corpus.times, corpus.weights)
    names = [names for names in (corpus.tokens, corpus.keys) if names is not None]
    texts = [array for some in names for array in (some.utf8, some.offsets)]
    return digest([*(array for array in numbers if array is not None), *texts])


def digest(arrays: Iterable[np.ndarray]) -> str:
    """Return a digest of the bytes of arrays, end to end, in little memory: 32 hexadecimal digits."""
    told = hashlib.blake2b(digest_size=16)
    for array in arrays:
        flat = array.reshape(-1)
        for start in range(0, len(flat), _BLOCK):
            told.update(flat[start : start + _BLOCK].tobytes())
    return told.hexdigest()


def digest_of_model(model: Embeddings) -> str:
    """Return a digest of all that an update begins with: vectors, counts, histories, a trainer's own arrays, config."""
    history = model.histories
    parts = [model.vectors, model.context_vectors, model.key_vectors, model.counts]
    if history is not None:
        parts += [history.indptr, history.indices, history.weights, history.times]
    parts += [model.arrays[name] for name in sorted(model.arrays)]
    config = json.dumps(dict(model.config), sort_keys=True, default=str)
    told = digest(part for part in parts if part is not None) + config
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def digest_of_file(name: str, path: Path) -> dict[str, str]:
    """Return a digest of a file's bytes under a name; nothing of a pipe, which can be read only once.

    Raises
    ------
    EmbedkitError
        If it cannot be read.
    """
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            return {name: hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()}
    except OSError as error:
        raise EmbedkitError(f"{path} cannot be read: {error.strerror}. See that it can, or name another.") from error


def _refuse_changed(before: Mapping[str, Any], now: Mapping[str, Any], folder: str | Path) -> None:
    """Refuse to go on where the training is not the same."""
    changes = list(_changes(before, now))
    if changes:
        raise EmbedkitError(
            f"{folder} holds the state of another training: {'; '.join(changes)}. Call it as it was called then, or "
            "remove the folder to begin anew."
        )


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    if before["trainer"] != now["trainer"]:
        yield f"the trainer was {before['trainer']} and is {now['trainer']}"
        return
    # How many workers there are is a matter of the machine; a trainer whose state depends on it says so by itself.
    one_sided = before["options"].keys() ^ now["options"].keys()
    for name in sorted({*before["options"], *now["options"]} - {"workers"}):
        old, new = (
            "not given" if some.get(name) is None else some[name] for some in (before["options"], now["options"])
        )
        if old != new and not (name in one_sided and name in _PARTS_OF_ANOTHER):
            yield f"--{name.replace('_', '-')} was {old} and is {new}"
    if before["n_tokens"] != now["n_tokens"] or before["vocabulary"] != now["vocabulary"]:
        yield (
            f"there were {before['n_tokens']:,} tokens ({before['vocabulary']:,} different) and there are "
            f"{now['n_tokens']:,} ({now['vocabulary']:,} different)"
        )
    elif before["data"] != now["data"]:
        changed = [
            name for name in {**before["data"], **now["data"]} if before["data"].get(name) != now["data"].get(name)
        ]
        yield f"the data changed ({', '.join(sorted(changed))}), though there are as many tokens"


def _write(path: Path, state: Mapping[str, np.ndarray], identity: Mapping[str, Any]) -> None:
    from embedkit.embeddings.replacing import replacing
    from embedkit.embeddings.safetensors import write_tensors

    kept = datetime.now(UTC).isoformat(timespec="seconds")
    told = {"format_version": FORMAT_VERSION, "kept": kept, "identity": identity}
    with replacing(path) as file:
        write_tensors(file, state, {_METADATA: json.dumps(told, ensure_ascii=False)})


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a state and what it tells of itself, its checksum checked.

    Raises
    ------
    ModelError
        If it is cut short, damaged, of a newer version, or none.
    """
    from embedkit.embeddings.safetensors import CHECKSUM, checksum, map_tensors, read_header

    remedy = "Remove it to begin anew."
    header = read_header(path, "state", remedy)
    try:
        told = json.loads(header.metadata[_METADATA])
        newer = told["format_version"] > FORMAT_VERSION
        if not (newer or (_tells_of_training(told) and "losses" in header.tensors)):
            raise KeyError(_METADATA)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no state of a training. {remedy}") from error
    if newer:
        raise ModelError(f"{path} was kept by a newer embedkit; bring this one up to date.")
    if checksum(path) != header.metadata.get(CHECKSUM):
        raise ModelError(f"{path} is damaged: its checksum is not the one it was written with. {remedy}")
    state = map_tensors(path, header)
    for name, array in state.items():
        if not _are_plausible(array):
            raise ModelError(f"{path} is damaged: {name!r} holds numbers that no training gives. {remedy}")
    return state, told


def _tells_of_training(told: Any) -> bool:
    """Tell whether a state says of its training what it must."""
    kinds = {"trainer": str, "options": dict, "n_tokens": int, "vocabulary": int, "data": dict}
    identity = told["identity"]
    return isinstance(told["kept"], str) and all(type(identity[name]) is kind for name, kind in kinds.items())


def _are_plausible(array: np.ndarray) -> bool:
    """Tell whether numbers are finite and not huge."""
    import numpy as np

    if array.dtype.kind != "f":
        return True
    flat = array.reshape(-1)
    parts = (flat[start : start + _BLOCK] for start in range(0, len(flat), _BLOCK))
    return all(bool((abs(part.astype(np.float64)) < _HUGE).all()) for part in parts)
