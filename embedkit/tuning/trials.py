"""One trial: a trainer with some options, trained, measured, given up where it is hopeless."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from embedkit.contracts import Run
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.evaluation import Measure, Split, Validation
from embedkit.memory import give_back
from embedkit.tuning.space import Candidate

if TYPE_CHECKING:
    import optuna

State = Literal["complete", "hopeless", "failed", "stopped", "unfinished"]
DEFAULTS, STOPPED = "defaults", "stopped"
_WHAT, _RESULT = "what", "result"
_RUNGS = (2, 4, 8)  # tenths of a training, after which is measured and judged
_LEAST_OTHERS = 4


@dataclass(frozen=True)
class Trial:
    """What became of a trainer with some options.

    Attributes
    ----------
    number
        From 1, in the order of beginning.
    trainer
        The trainer's name.
    options
        What it was given besides the defaults of the trainer and the source.
    state
        `complete`; `hopeless`: given up, as it was far behind others of its trainer at the same point;
        `failed`: see `reason`; `stopped`: by Ctrl-C or the end of the time; `unfinished`: its process is gone, or
        still at it.
    value
        The measure; of a hopeless one the last that was seen; None for others.
    half_width
        Half of the 95% confidence interval of `value` over the rows of the validation, where complete.
    seconds
        For training and measuring.
    reason
        Why it failed.
    defaults
        Whether it is the trial with the defaults.
    """

    number: int
    trainer: str
    options: Mapping[str, Any]
    state: State
    value: float | None = None
    half_width: float | None = None
    seconds: float = 0.0
    reason: str = ""
    defaults: bool = False

    @classmethod
    def of(cls, frozen: optuna.trial.FrozenTrial) -> Trial:
        """Read a trial of a study."""
        noted = {**frozen.user_attrs.get(_WHAT, {}), **frozen.user_attrs.get(_RESULT, {})}
        failed = "stopped" if frozen.user_attrs.get(STOPPED) or noted.get(STOPPED) else "failed"
        states = {"COMPLETE": "complete", "PRUNED": "hopeless", "FAIL": failed}
        state: Any = states.get(frozen.state.name, "unfinished")
        return cls(
            number=frozen.number + 1,
            trainer=str(noted.get("trainer", "?")),
            options=noted.get("options", {}),
            state=state,
            value=frozen.value if state in ("complete", "hopeless") else None,
            half_width=noted.get("half_width"),
            seconds=float(noted.get("seconds", 0.0)),
            reason=str(noted.get("reason", "")),
            defaults=bool(frozen.user_attrs.get(DEFAULTS, False)),
        )


class OutOfTime(Exception):  # noqa: N818 - no error: the user's wish
    """The time for the whole search is over while a trial runs."""


@dataclass
class Bench:
    """What all trials share.

    Attributes
    ----------
    parts
        What is learned from, and what is to be found.
    deadline
        The moment of `time.monotonic()` at which a running trial is broken off, or None.
    curves
        For each trainer the measures of its trials at the rungs that they came to.
    """

    parts: Split
    measure: Measure
    validation: Validation
    prune: bool
    deadline: float | None = None
    curves: dict[str, list[dict[int, float]]] = field(default_factory=dict)

    def remember(self, study: optuna.study.Study) -> None:
        """Take over the measures of the trials of a study."""
        self.curves = {}
        for frozen in study.get_trials(deepcopy=False):
            trainer = str(frozen.user_attrs.get(_WHAT, {}).get("trainer"))
            self.curves.setdefault(trainer, []).append(frozen.intermediate_values)

    def run(
        self, trial: optuna.trial.Trial, candidate: Candidate, tried: Mapping[str, Any], run: Run
    ) -> tuple[float, float | None]:
        """Train and measure; return the measure and half of its interval, which a single row does not have.

        Raises
        ------
        Hopeless, OutOfTime
            If it was broken off.
        Exception
            Whatever the trainer raises.
        """
        options = candidate.options(self.parts.train, tried)
        watch = _TrialRun(run, self, trial, candidate.name, getattr(options, "epochs", None))
        model = candidate.trainer().train(self.parts.train, options, watch)
        if watch.hopeless:
            raise Hopeless
        found = self.measure.of(model, self.parts.test, self.validation)
        value = found[str(self.measure)]
        if not np.isfinite(value):
            raise EmbedkitError(f"{self.measure} is no number.")
        half_width = found.intervals[str(self.measure)].half_width
        return value, half_width if np.isfinite(half_width) else None

    def hopeless(self, trainer: str, rung: int, value: float) -> bool:
        """Return whether a trial is in the lower quartile of those of its trainer that came to a rung.

        All that came there count, given up there or not: among those that came to the end alone, which get ever
        better, nearly all would be below. Trainers are not compared, as some begin slower than others.
        """
        others = [curve[rung] for curve in self.curves.get(trainer, []) if rung in curve]
        return len(others) >= _LEAST_OTHERS and value < float(np.quantile(others, 0.25))


class Hopeless(Exception):  # noqa: N818 - no error: a judgement
    """A trial that is given up."""


class _TrialRun(Run):
    """Stands between a trainer and a run: measures at the rungs of the training, ends what is hopeless or late."""

    def __init__(self, run: Run, bench: Bench, trial: Any, trainer: str, epochs: int | None) -> None:
        super().__init__(work_dir=run.work_dir, engine=run.engine)
        self._run, self._bench, self._trial, self._trainer, self._epochs = run, bench, trial, trainer, epochs
        self._epoch, self._rung, self._share = 0, 0, 0.0
        self.hopeless = False

    def say(self, message: str) -> None:
        if self._trial.user_attrs.get(DEFAULTS):  # once a trainer is enough
            self._run.say(message)

    def progress(self, done: float, total: float, **more: Any) -> None:
        if self._bench.deadline is not None and time.monotonic() > self._bench.deadline:
            raise OutOfTime
        self._share = done / total if total else 0.0
        self._run.progress(done, total, **more)

    def epoch_done(self, loss: float, snapshot: Callable[[], Embeddings]) -> bool:
        self._epoch += 1
        goes_on = self._run.epoch_done(loss, snapshot)
        share = self._epoch / self._epochs if self._epochs else self._share
        rung = max((rung for rung in _RUNGS if rung <= 10 * share + 1e-6), default=0)
        if self._bench.prune and self._rung < rung and share < 1:
            self._rung = rung
            measure, parts = self._bench.measure, self._bench.parts
            value = measure.of(snapshot(), parts.test, self._bench.validation)[str(measure)]
            self._trial.report(value, rung)
            self.hopeless = self._bench.hopeless(self._trainer, rung, value)
        return goes_on and not self.hopeless


def perform(
    study: optuna.study.Study,
    trial: optuna.trial.Trial,
    bench: Bench,
    candidate: Candidate,
    tried: Mapping[str, Any],
    run: Run,
) -> None:
    """Run a trial and tell the study of it; what the trainer raises makes it a failed one.

    Raises
    ------
    KeyboardInterrupt, OutOfTime, OSError
        When the trial, noted as stopped, was broken off by these: no trainer's fault, so that it can be tried again.
    """
    from optuna.trial import TrialState

    trial.set_user_attr(_WHAT, {"trainer": candidate.name, "options": {**candidate.fixed, **tried}})
    began = time.perf_counter()
    state, error = TrialState.COMPLETE, None
    value: float | None = None
    noted: dict[str, Any] = {}
    try:
        value, noted["half_width"] = bench.run(trial, candidate, tried, run)
    except Hopeless:
        state = TrialState.PRUNED
    except (KeyboardInterrupt, OutOfTime, OSError) as stop:
        noted[STOPPED] = True
        state, error = TrialState.FAIL, stop
    except Exception as failure:
        noted["reason"] = _one_line(failure)
        state = TrialState.FAIL
    trial.set_user_attr(_RESULT, {**noted, "seconds": round(time.perf_counter() - began, 3)})
    study.tell(trial, value, state=state)
    give_back()
    if error is not None:
        raise error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, EmbedkitError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def counted(trials: Sequence[Trial]) -> dict[State, int]:
    """Return how many trials ended how, only what there is."""
    order: tuple[State, ...] = ("complete", "hopeless", "failed", "stopped", "unfinished")
    counts = {state: sum(trial.state == state for trial in trials) for state in order}
    return {state: number for state, number in counts.items() if number}
