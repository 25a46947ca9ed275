"""`tune`: one trial after the other, until there are enough of them or the time is over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.contracts import Run, Source
from embedkit.corpus import Corpus
from embedkit.errors import EmbedkitError, OptionError
from embedkit.evaluation import Measure, Validation
from embedkit.options import describe
from embedkit.plugins import Plugins, load_plugins
from embedkit.training import CorpusOptions, make_plan
from embedkit.tuning.space import Candidate, candidates, default_parameters, propose, propose_defaults
from embedkit.tuning.study import check_file, fingerprint, open_study, quiet, require_optuna
from embedkit.tuning.trials import DEFAULTS, STOPPED, Bench, OutOfTime, Trial, counted, perform

if TYPE_CHECKING:
    import optuna

TRIALS = 20
"""How many trials there are where neither their number nor the time is given."""

MakeRun = Callable[[str, int | None], Run]


@dataclass(frozen=True)
class Tuning:
    """What a search found.

    Attributes
    ----------
    trials
        All trials of the study, in the order of beginning.
    measure
        What was measured, such as `ndcg@20`.
    interrupted
        Whether Ctrl-C ended it.
    """

    trials: tuple[Trial, ...]
    measure: str
    interrupted: bool = False

    @property
    def ranked(self) -> list[Trial]:
        """The complete trials, best first; of equal ones the earlier."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        return sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.number))

    @property
    def best(self) -> Trial:
        """The best trial.

        Raises
        ------
        EmbedkitError
            If none is complete.
        """
        if not self.ranked:
            reasons = [f"{trial.trainer}: {trial.reason}" for trial in self.trials if trial.reason]
            why = f" The last failed: {reasons[-1].rstrip('.')}." if reasons else ""
            raise EmbedkitError(f"no trial is complete, so there is nothing to choose from.{why}")
        return self.ranked[0]

    def __repr__(self) -> str:
        states = ", ".join(f"{number} {state}" for state, number in counted(self.trials).items())
        best = f"; best {self.best.trainer} {self.measure} {self.best.value:.4f}" if self.ranked else ""
        return f"Tuning({states or 'no trial'}{best})"


def tune(
    source: str | type[Source] | Corpus,
    *,
    trainers: Sequence[str] = (),
    metric: str = "ndcg@20",
    trials: int | None = None,
    time_budget: float | None = None,
    study: str | os.PathLike[str] | None = None,
    validation: Validation | None = None,
    prune: bool = True,
    seed: int | None = None,
    plugins: Plugins | None = None,
    make_run: MakeRun | None = None,
    on_trial: Callable[[Trial, Tuning], None] | None = None,
    **options: Any,
) -> Tuning:
    """Search for the trainer and the options that find best what is held out of the data.

    The first trial of each trainer is its defaults; then trainer and options are drawn by a tree-structured Parzen
    estimator (Bergstra et al. 2011), from where the options declare that it is worth searching (`option(search=...)`).

    Parameters
    ----------
    source
        The name of a source, a class derived from `Source`, or a corpus; of a split its `train`.
    trainers
        Those that are tried; all that declare where to search where not given.
    metric
        What is measured; see `evaluation.metrics`.
    trials
        Until the study has so many, those of an earlier call included. 20 where the time is not given either.
    time_budget
        Seconds; a trial that is running then is broken off, unless there is no complete one yet.
    study
        A SQLite file to keep the trials in, or to go on from.
    validation
        What is held out.
    prune
        Whether to give up trials that after a fifth, two or four fifths of their training are in the lower quartile of
        their trainer's.
    seed
        For what is drawn: the options that are tried, and what trainers (and the source) draw.
    make_run
        Called with a trainer's name and its number of epochs (None: not known), gives the run of a trial.
    on_trial
        Called after each trial with it and with what was found so far.
    options
        Options of the source and the corpus, and of trainers: these are fixed and not searched. `als.epochs` is one
        for that trainer alone.

    Raises
    ------
    OptionError
        For an unknown option, or a value that it does not take.
    EmbedkitError
        If Optuna is not installed, nothing can be held out, or the study is one of another search.
    """
    measure = Measure.parse(metric)
    limit = _limit(trials, time_budget)
    require_optuna()
    path = None if study is None else Path(study)
    if path is not None:
        check_file(path)
    plugins = plugins or load_plugins()
    seeds = {} if seed is None else {"seed": seed}
    corpus, settings = _read(source, options, trainers, seeds, plugins, make_run)
    tried = candidates(plugins, trainers, settings, seeds)
    for candidate in tried:
        candidate.options(corpus, {})
    validation = validation or Validation()
    bench = Bench(validation.split(corpus), measure, validation, prune)
    measure.check(len(bench.parts.train.tokens))
    make_run = make_run or (lambda *_: Run())
    run = make_run("", None)
    run.say(validation.told(corpus, bench.parts))
    setting = _setting(corpus, bench, tried)
    with quiet(), open_study(path, setting, 1 if seed is None else seed) as opened:
        search = _Search(opened, bench, tried, make_run, on_trial)
        if before := len(search.found().trials):
            run.say(f"{study} holds {before:,} trial{'s' * (before > 1)} already.")
        interrupted = search.run(limit, time_budget)
        return search.found(interrupted)


def _limit(trials: int | None, time_budget: float | None) -> float:
    if trials is not None and (not isinstance(trials, int) or isinstance(trials, bool) or trials < 1):
        raise OptionError("trials", f"must be a whole number of at least 1; got {trials!r}.")
    if time_budget is not None and not (isinstance(time_budget, int | float) and 0 < time_budget < float("inf")):
        raise OptionError("time_budget", f"must be a number of seconds above 0; got {time_budget!r}.")
    if trials is not None:
        return trials
    return TRIALS if time_budget is None else float("inf")


def _read(
    source: str | type[Source] | Corpus,
    options: Mapping[str, Any],
    trainers: Sequence[str],
    seeds: Mapping[str, int],
    plugins: Plugins,
    make_run: MakeRun | None,
) -> tuple[Corpus, dict[str, Any]]:
    """Return the corpus, read unless it is one already, and those of the options that are trainers'."""
    if isinstance(source, Corpus):
        return source, dict(options)
    chosen = plugins.source(source) if isinstance(source, str) else source
    own = {spec.name for described in (chosen.Options, CorpusOptions) for spec in describe(described)}
    settings = {name: value for name, value in options.items() if name not in own}
    candidates(plugins, trainers, settings)  # so that a mistake is told before the reading
    reading = {name: value for name, value in {**seeds, **options}.items() if name in own}
    plan = make_plan(chosen, None, reading, plugins)
    return plan.read(make_run("", None) if make_run else None), settings


def _setting(corpus: Corpus, bench: Bench, tried: Sequence[Candidate]) -> dict[str, Any]:
    """Return what must agree for trials to be comparable, each under the name that an error has for it."""
    validation = bench.validation
    drawn = "" if validation.of_file else f" with seed {validation.seed}"
    share = f" of {validation.share:g}" if validation.share is not None else ""
    seen = ", seen tokens included" * validation.include_seen
    shape = f"({len(corpus.tokens):,} different) in {corpus.n_sentences:,} sentences"
    return {
        "the data": f"{corpus.n_tokens:,} tokens {shape}",
        "the metric": str(bench.measure),
        "the validation": f"{validation.how(corpus)}{share}{drawn}{seen}",
        "fingerprint": fingerprint(corpus, bench.parts.test),
        "the list of trainers": [candidate.name for candidate in tried],
        "what is fixed": {f"{c.name}.{name}": value for c in tried for name, value in c.fixed.items()},
        "what is searched": {c.name: c.ranges() for c in tried},
    }


class _Search:
    """The trials of a study, one after the other."""

    def __init__(
        self,
        study: optuna.study.Study,
        bench: Bench,
        tried: Sequence[Candidate],
        make_run: MakeRun,
        on_trial: Callable[[Trial, Tuning], None] | None,
    ) -> None:
        self._study, self._bench, self._tried = study, bench, tried
        self._make_run, self._on_trial = make_run, on_trial
        self._trial: optuna.trial.Trial | None = None

    def found(self, interrupted: bool = False) -> Tuning:
        """Return what was found so far."""
        trials = tuple(Trial.of(frozen) for frozen in self._study.get_trials(deepcopy=False))
        return Tuning(trials, str(self._bench.measure), interrupted)

    def run(self, limit: float, time_budget: float | None) -> bool:
        """Run trials until there are `limit`, or the time is over; return whether Ctrl-C came before."""
        end = None if time_budget is None else time.monotonic() + time_budget
        try:
            while self._goes_on(limit, end):
                found = self.found()
                self._bench.deadline = end if found.ranked else None
                self._next(found)
                if self._on_trial is not None:
                    found = self.found()
                    self._on_trial(found.trials[-1], found)
        except OutOfTime:
            return False
        except KeyboardInterrupt:
            self._close()
            return True
        except BaseException:
            self._close()
            raise
        return False

    def _close(self) -> None:
        """Tell the study that the trial that was begun last is over, where something came before it ran."""
        from optuna.trial import TrialState

        trial = self._trial
        if trial is not None and not self._study.get_trials(deepcopy=False)[trial.number].state.is_finished():
            trial.set_user_attr(STOPPED, True)
            self._study.tell(trial, state=TrialState.FAIL)

    def _goes_on(self, limit: float, end: float | None) -> bool:
        trials = self.found().trials
        over = [trial for trial in trials if trial.state in ("complete", "hopeless", "failed")]
        if len(over) >= limit or (end is not None and time.monotonic() >= end):
            return False
        if self._untried(trials):
            return True
        # Where every trainer's defaults have failed, so will the rest; where nothing is searched, all is known.
        return any(candidate.searched for candidate in self._tried) and any(t.state == "complete" for t in over)

    def _untried(self, trials: Sequence[Trial]) -> list[Candidate]:
        """Return the trainers whose defaults were not tried to an end."""
        known = {t.trainer for t in trials if t.defaults and t.state in ("complete", "hopeless", "failed")}
        return [candidate for candidate in self._tried if candidate.name not in known]

    def _next(self, found: Tuning) -> None:
        self._bench.remember(self._study)
        untried = self._untried(found.trials)
        train = self._bench.parts.train
        if untried:
            candidate = untried[0]
            values: dict[str, Any] = {}
            self._study.enqueue_trial(default_parameters(candidate, train), user_attrs={DEFAULTS: True})
            trial = self._trial = self._study.ask()
            propose_defaults(trial, candidate, self._tried, train)
        else:
            trial = self._trial = self._study.ask()
            candidate, values = propose(trial, self._tried)
        epochs = _epochs(candidate, train, values)
        perform(self._study, trial, self._bench, candidate, values, self._make_run(candidate.name, epochs))


def _epochs(candidate: Candidate, corpus: Corpus, values: Mapping[str, Any]) -> int | None:
    try:
        return getattr(candidate.options(corpus, values), "epochs", None)
    except OptionError:
        return None  # the trial itself tells of it
