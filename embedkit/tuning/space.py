"""What is searched: the trainers, and those of their options that declare where to look and were not given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from embedkit.contracts import Trainer
from embedkit.corpus import Corpus
from embedkit.errors import EmbedkitError, OptionError, did_you_mean
from embedkit.options import Between, OptionSpec, describe
from embedkit.plugins import Plugins
from embedkit.training import trainer_options

if TYPE_CHECKING:
    import optuna

TRAINER = "trainer"
_DIGITS = 3


@dataclass(frozen=True)
class Candidate:
    """A trainer that is tried.

    Attributes
    ----------
    trainer
        The trainer.
    fixed
        The options that were given, which are not searched.
    searched
        The options that are.
    """

    trainer: type[Trainer]
    fixed: Mapping[str, Any]
    searched: tuple[OptionSpec, ...]

    @property
    def name(self) -> str:
        """The trainer's name."""
        return self.trainer.name

    def options(self, corpus: Corpus, tried: Mapping[str, Any]) -> Any:
        """Return the options of a trial: the defaults in force, what was given, what is tried."""
        return trainer_options(corpus, self.trainer, {**self.fixed, **tried})

    def ranges(self) -> dict[str, Any]:
        """Return where is searched, fit for JSON."""
        return {
            s.name: asdict(s.search) if isinstance(s.search, Between) else list(s.search or ()) for s in self.searched
        }


def candidates(
    plugins: Plugins, names: Sequence[str], values: Mapping[str, Any], seeds: Mapping[str, int] | None = None
) -> list[Candidate]:
    """Return the trainers that are tried: the named ones, else all that declare where to search.

    Parameters
    ----------
    values
        Options that are fixed, for all trainers that know them, or as `trainer.option` for one.
    seeds
        As `values`, but no trainer need know them.

    Raises
    ------
    OptionError
        For an option that no tried trainer has, or a value that it does not take.
    """
    chosen = [plugins.trainer(name) for name in dict.fromkeys(names)]
    chosen = chosen or [
        plugins.trainers[name] for name in sorted(plugins.trainers) if _searchable(plugins.trainers[name])
    ]
    if not chosen:
        raise EmbedkitError("no trainer says where to search for its options; name one with --trainer.")
    _refuse_unknown(values, chosen)
    return [_candidate(trainer, {**(seeds or {}), **values}) for trainer in chosen]


def _searchable(trainer: type[Trainer]) -> bool:
    return trainer.tuned and any(spec.search is not None for spec in describe(trainer.Options))


def _refuse_unknown(values: Mapping[str, Any], chosen: Sequence[type[Trainer]]) -> None:
    general = {spec.name for trainer in chosen for spec in describe(trainer.Options)}
    known = general | {f"{trainer.name}.{spec.name}" for trainer in chosen for spec in describe(trainer.Options)}
    for name in values:
        if name not in known:
            near = did_you_mean(name, known)
            raise OptionError(name, f"is no option of trainer {' or '.join(t.name for t in chosen)}.{near}")


def _candidate(trainer: type[Trainer], values: Mapping[str, Any]) -> Candidate:
    fixed, searched = {}, []
    for spec in describe(trainer.Options):
        for name in (spec.name, f"{trainer.name}.{spec.name}"):
            if name in values:
                fixed[spec.name] = _checked(spec, name, values[name])
        if spec.search is not None and spec.name not in fixed:
            searched.append(spec)
    return Candidate(trainer, fixed, tuple(searched))


def _checked(spec: OptionSpec, name: str, value: Any) -> Any:
    """Return the value as its option has it; an error blames the name that it was given under."""
    try:
        return spec.check(value)
    except OptionError as error:
        raise OptionError(name, error.problem) from error


def propose(trial: optuna.trial.Trial, tried: Sequence[Candidate]) -> tuple[Candidate, dict[str, Any]]:
    """Return a trainer and the options to try it with, as the sampler sees fit."""
    open_ones = {c.name: c for c in tried if c.searched}
    candidate = open_ones[trial.suggest_categorical(TRAINER, list(open_ones))]
    return candidate, {spec.name: _suggest(trial, candidate.name, spec) for spec in candidate.searched}


def propose_defaults(
    trial: optuna.trial.Trial, candidate: Candidate, tried: Sequence[Candidate], corpus: Corpus
) -> None:
    """Tell the sampler of a trial with a trainer's defaults, as far as these lie where it searches."""
    open_ones = [c.name for c in tried if c.searched]
    if candidate.name in open_ones:
        trial.suggest_categorical(TRAINER, open_ones)
        for spec in _defaults_inside(candidate, corpus):
            _suggest(trial, candidate.name, spec)


def default_parameters(candidate: Candidate, corpus: Corpus) -> dict[str, Any]:
    """Return a trainer's defaults under the names that the study has for them, as far as it searches there."""
    options = candidate.options(corpus, {})
    inside = {f"{candidate.name}.{s.name}": getattr(options, s.name) for s in _defaults_inside(candidate, corpus)}
    return {TRAINER: candidate.name, **inside} if candidate.searched else {}


def _defaults_inside(candidate: Candidate, corpus: Corpus) -> Iterator[OptionSpec]:
    options = candidate.options(corpus, {})
    for spec in candidate.searched:
        value, search = getattr(options, spec.name), spec.search
        if isinstance(search, Between):
            inside = isinstance(value, int | float) and search.low <= value <= search.high
        else:
            inside = value in (search or ())
        if inside:
            yield spec


def _suggest(trial: optuna.trial.Trial, trainer: str, spec: OptionSpec) -> Any:
    name, search = f"{trainer}.{spec.name}", spec.search
    if not isinstance(search, Between):
        return trial.suggest_categorical(name, list(search or ()))
    if float in spec.kinds:
        return float(f"{trial.suggest_float(name, search.low, search.high, log=search.log):.{_DIGITS}g}")
    return trial.suggest_int(name, int(search.low), int(search.high), log=search.log)
