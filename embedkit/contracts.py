"""What plugins and the core agree on. Importing this module imports no numpy, pandas, Arrow or numba."""

from __future__ import annotations

import inspect
import pathlib
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from embedkit.errors import EmbedkitError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from embedkit.corpus import Corpus
    from embedkit.embeddings import Embeddings


@dataclass(slots=True)
class Sentence:
    """Tokens that occur together, in order.

    Attributes
    ----------
    tokens
        The tokens, each a non-empty string.
    key
        Whose sentence it is: a user, a document. Sentences that share a key form that key's history.
    weights
        A positive finite number for each token, or None.
    times
        Microseconds since 1970 (UTC) for each token, or None.
    """

    tokens: Sequence[str]
    key: str | None = None
    weights: Sequence[float] | None = None
    times: Sequence[int] | None = None


@dataclass(slots=True)
class SentenceBatch:
    """Many sentences in columns, for sources with much data.

    Attributes
    ----------
    tokens
        Arrow strings (`string`, `large_string`) or a dictionary of them, all sentences end to end.
    offsets
        int64, one more than there are sentences: sentence s is `tokens[offsets[s]:offsets[s + 1]]`.
    keys
        Arrow strings (or a dictionary of them), one a sentence, or None.
    weights
        float32, one a token, or None.
    times
        int64 microseconds since 1970 (UTC), one a token, or None.
    continues
        Whether the last sentence goes on as the first of the next batch.
    """

    tokens: pa.Array
    offsets: np.ndarray
    keys: pa.Array | None = None
    weights: np.ndarray | None = None
    times: np.ndarray | None = None
    continues: bool = False


@dataclass(frozen=True)
class NoOptions:
    """The options of what has none."""


class Source:
    """Where sentences come from. Derive from it, give a `name` and `sentences()` (or `batches()`), register it.

    Attributes
    ----------
    name
        What `--source` calls it: lower-case letters, digits and hyphens.
    summary
        One line for `embedkit sources`; the docstring's first line where it is not given.
    Options
        A dataclass of the source's own options. One called `input` receives `--input`: a tuple of paths from
        the command line, anything the source can read from Python.
    defaults
        Defaults for the corpus's and the trainer's options that suit these data (`{"trainer": "cbow", "window": 3}`).
        `skipgram.window` is one for that trainer alone. Flags override them; a name that the chosen trainer does not
        know is passed over.
    dropped
        What this source left out while it was last read, and how often: `{"rows without a user": 3}`.
        It is shown to the user, as nothing is dropped in silence.
    notes
        What this source found out about its input while it was last read (which column is which), a line each.
    work_dir
        A private folder for temporary files, which goes with the corpus; set before the source is read into one.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    Options: ClassVar[type] = NoOptions
    defaults: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "summary" not in cls.__dict__:
            cls.summary = (inspect.getdoc(cls) or "").partition("\n")[0]

    def __init__(self, options: Any) -> None:
        self.options = options
        self.dropped: Counter[str] = Counter()
        self.notes: list[str] = []
        self.work_dir: pathlib.Path | None = None

    def sentences(self) -> Iterable[Sentence]:
        """Yield the sentences; called again, yield them again."""
        raise NotImplementedError

    def batches(self) -> Iterable[SentenceBatch] | None:
        """Yield the sentences in columns, or return None where `sentences()` gives them (the default)."""
        return None

    def labels(self) -> Iterable[tuple[str, str]] | None:
        """Return pairs of a token and the name to show for it, or None; called after the sentences were read."""
        return None

    def divided(self, n: int) -> list[Source] | None:
        """Return about n sources, each of a part of the sentences, that can be pickled; None where it has no parts.

        Each is read where it is sent, so what it reads must be there too. Sentences of one key may be in several.

        Raises
        ------
        SourceError
            If this input cannot be divided, with what could be.
        """
        return None

    @classmethod
    def sample(cls) -> Any:
        """Return sample input, made by the plugin's own generator, that can stand for `options.input`; or None."""
        return None


class Run:
    """A trainer's link to the outside. This one is silent; the command line's shows progress.

    Attributes
    ----------
    work_dir
        A folder for temporary files.
    start
        Embeddings to grow from, or None; the corpus then has their tokens and keys too, and its sentences are new.
    drift
        When growing, what to multiply the way of a token of `start` by, from 0 (it stays) to 1.
    state
        Arrays to resume from, or None.
    engine
        Map, reduce and broadcast over parts of the work (`embedkit.engines`), or None for this process alone.
    """

    def __init__(
        self,
        *,
        work_dir: pathlib.Path | None = None,
        start: Embeddings | None = None,
        state: Mapping[str, np.ndarray] | None = None,
        engine: Any = None,
        drift: float = 1.0,
    ) -> None:
        self.work_dir = work_dir or pathlib.Path(tempfile.gettempdir())
        self.start = start
        self.drift = drift
        self.state = state
        self.engine = engine

    def say(self, message: str) -> None:
        """Tell the user one line, such as that something is being compiled."""

    def progress(
        self,
        done: float,
        total: float,
        *,
        unit: str = "tokens",
        loss: float | None = None,
        snapshot: Callable[[], Embeddings] | None = None,
    ) -> None:
        """Tell how far it is, at least every half second.

        `snapshot` gives what has been learned so far; it is what Ctrl-C saves.
        """

    def epoch_done(self, loss: float, snapshot: Callable[[], Embeddings]) -> bool:
        """Tell that an epoch is over with that mean loss; False asks the trainer to stop and return."""
        return True

    def goes_on(self, epochs: int) -> None:
        """Tell that so many whole epochs were learned before, by a training that was interrupted."""

    def wants_state(self) -> bool:
        """Tell whether it is time to keep a state; who asks may ask several times a second."""
        return False

    def keep_state(self, state: Callable[[], Mapping[str, np.ndarray]], *, epoch_over: bool = False) -> None:
        """Offer a state to resume from (`run.state`), at an epoch's end or when one was wanted.

        `state` is called only if it is to be kept. Its arrays, `losses` (float64, a number for each epoch) among them,
        are all that goes on from one step to the next: resumed from them, a trainer gives what it would have given.
        """


class Trainer:
    """A way of learning vectors from a corpus. Derive from it, give a `name` and `train`, register it.

    Attributes
    ----------
    name, summary, Options
        As those of a source. `seed` and `workers` may be shared with the source; any other name may not. One that
        learns in epochs has an option `epochs` and calls `run.epoch_done` after each, so that it can be stopped early.
    tuned
        Whether `embedkit tune` tries it unasked. It searches the options that say where (`option(search=...)`).
    resumes
        Whether it begins from `run.state` where there is one, and offers states by `run.keep_state`.
    divides
        Whether it learns from a corpus in partitions (`embedkit.corpus.partitioned`), given `run.engine`.
    drifts
        Whether it heeds a `run.drift` below 1 where it grows a model; where not, that is refused before the reading.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    Options: ClassVar[type] = NoOptions
    tuned: ClassVar[bool] = True
    resumes: ClassVar[bool] = False
    divides: ClassVar[bool] = False
    drifts: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "summary" not in cls.__dict__:
            cls.summary = (inspect.getdoc(cls) or "").partition("\n")[0]

    def train(self, corpus: Corpus, options: Any, run: Run) -> Embeddings:
        """Learn vectors from `corpus`; `options` is an instance of `Options`."""
        raise NotImplementedError

    @classmethod
    def check_divides(cls, options: Any) -> None:
        """Refuse options that do not go with an engine, before anything is read; asked where `divides`."""

    @classmethod
    def options_to_grow(cls, start: Embeddings, options: Any) -> Any:
        """Return the options with which `train` grows `run.start`, which was learned with `options`.

        Raises
        ------
        EmbedkitError
            If it cannot be grown, which is so for all trainers that do not say how.
        """
        raise EmbedkitError(f"trainer {cls.name!r} cannot grow a model; train anew on all the data.")


class Exporter:
    """A format or a store that vectors are written to. Derive from it, give a `name` and `write`, register it.

    Attributes
    ----------
    name, summary, Options
        As those of a source.
    keeps
        What is written besides tokens and vectors: some of `labels`, `counts`. What a model has beyond it is told to
        the user as left out.
    endings
        What its files' names end in (`(".csv",)`). A file that is there and ends otherwise is not replaced by the
        command; without endings only models are spared.
    vectors
        Which of the model's vectors are written: `input`, `context` or `keys` (whose names then stand as tokens);
        set before `write` is called.
    run
        The link to the outside: `self.run.say(...)`, `self.run.progress(...)`; silent unless somebody listens.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    Options: ClassVar[type] = NoOptions
    keeps: ClassVar[frozenset[str]] = frozenset()
    endings: ClassVar[tuple[str, ...]] = ()
    vectors: str = "input"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "summary" not in cls.__dict__:
            cls.summary = (inspect.getdoc(cls) or "").partition("\n")[0]

    def __init__(self) -> None:
        self.run = Run()

    def write(self, embeddings: Embeddings, target: str, options: Any) -> None:
        """Write `tokens` and `vectors` of `embeddings` to `target`, a path or a URL: all of it, or nothing."""
        raise NotImplementedError

    def shown(self, target: str) -> str:
        """Return how messages name a target: a URL without its password, and without settings that sound secret."""
        hidden = re.sub(r"(://[^:/@\s]*):\S*@", r"\1:***@", target)
        return re.sub(
            r"\b([\w.-]*(?:pass|token|secret|key|credential)[\w.-]*)=[^&\s]*", r"\1=***", hidden, flags=re.IGNORECASE
        )


@dataclass(frozen=True)
class History:
    """The histories of some keys, or of anonymous sessions, as a query builder sees them (compressed rows).

    Attributes
    ----------
    indptr
        int64, one more than there are rows: row r's tokens are `indices[indptr[r]:indptr[r + 1]]`, oldest first.
    indices
        int32 token ids.
    weights
        float32, one an entry, or None.
    times
        int64 microseconds since 1970 (UTC), one an entry, or None.
    """

    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray | None = None
    times: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        for start, end in zip(self.indptr[:-1], self.indptr[1:], strict=True):
            yield self.indices[start:end]

    def take(self, rows: Sequence[int] | np.ndarray) -> History:
        """Return the histories of `rows`, in that order."""
        import numpy as np

        rows = np.asarray(rows, dtype=np.int64)
        lengths = self.indptr[rows + 1] - self.indptr[rows]
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        entries = np.repeat(self.indptr[rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return History(
            indptr,
            self.indices[entries],
            None if self.weights is None else self.weights[entries],
            None if self.times is None else self.times[entries],
        )


@dataclass(frozen=True)
class QueryContext:
    """What a query builder may draw on besides the histories.

    Attributes
    ----------
    vectors, context_vectors
        The model's float32 arrays (n_tokens × vector_size).
    counts
        int64 (n_tokens), how often each token occurred, or None.
    arrays
        The model's further arrays by name.
    config
        The model's configuration.
    """

    vectors: np.ndarray
    context_vectors: np.ndarray
    counts: np.ndarray | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


QueryBuilder = Callable[[History, QueryContext], "np.ndarray"]
"""From n histories to n query vectors (float32, n × vector_size); a row of zeros where there is nothing to go on."""
