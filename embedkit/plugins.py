"""Finds plugins, checks what they register, and reports by name the ones that fail, while the rest works."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module, metadata
from typing import Any, TypeVar

import pluggy

from embedkit import hookspecs
from embedkit.contracts import Exporter, QueryBuilder, Source, Trainer
from embedkit.errors import DISTRIBUTION, EmbedkitError, PluginError, UnknownNameError, did_you_mean
from embedkit.options import describe

ENVIRONMENT = "EMBEDKIT_PLUGINS"
SHARED_OPTIONS = frozenset({"seed", "workers"})
CORPUS_OPTIONS = frozenset({"min_count", "work_dir"})
RESERVED_OPTIONS = CORPUS_OPTIONS | {
    "checkpoint", "every", "format", "help", "model", "output", "resume", "source", "trainer",
    # of engines
    "engine", "partitions", "scheduler",
    # of early stopping, evaluate and tune
    "confidence", "ease_limit", "early_stopping", "fallback", "include_seen", "k", "metric", "patience", "prune",
    "retrain", "set", "share", "split", "split_layout", "split_output", "study", "test", "test_layout", "time_budget",
    "trials", "until", "validation", "validation_layout", "validation_share",
}  # fmt: skip
RESERVED_FOR_EXPORT = frozenset({"form", "help", "model", "target", "to", "vectors"})

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_HOOKS = tuple(name for name, value in vars(hookspecs).items() if name.startswith("register_") and callable(value))
_BUILT_IN = "embedkit.builtin"

T = TypeVar("T")


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found: its entry point's name, its distribution and version, the hooks it implements."""

    name: str
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """What is wrong with a plugin, in one line."""

    plugin: str
    distribution: str
    message: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} of {self.distribution}: {self.message}"


@dataclass
class Plugins:
    """Everything that plugins registered, by name, and the problems met on the way."""

    sources: dict[str, type[Source]] = field(default_factory=dict)
    trainers: dict[str, type[Trainer]] = field(default_factory=dict)
    query_builders: dict[str, QueryBuilder] = field(default_factory=dict)
    exporters: dict[str, type[Exporter]] = field(default_factory=dict)
    found: list[Plugin] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    providers: dict[tuple[str, str], str] = field(default_factory=dict)

    def source(self, name: str) -> type[Source]:
        """Return the source of that name, or raise `UnknownNameError` with the nearest."""
        return _look_up("source", name, self.sources)

    def trainer(self, name: str) -> type[Trainer]:
        """Return the trainer of that name, or raise `UnknownNameError` with the nearest."""
        return _look_up("trainer", name, self.trainers)

    def query_builder(self, name: str) -> QueryBuilder:
        """Return the query builder of that name, or raise `UnknownNameError` with the nearest."""
        return _look_up("query builder", name, self.query_builders)

    def exporter(self, name: str) -> type[Exporter]:
        """Return the exporter of that name, or raise `UnknownNameError` with the nearest."""
        return _look_up("export format", name, self.exporters)

    def check(self) -> None:
        """Raise `PluginError` if any plugin had a problem."""
        if self.problems:
            raise PluginError("; ".join(map(str, self.problems)))


def _look_up(kind: str, name: str, registry: Mapping[str, T]) -> T:
    if name in registry:
        return registry[name]
    near = did_you_mean(name, registry) or f" There are: {', '.join(sorted(registry)) or 'none'}."
    raise UnknownNameError(f"there is no {kind} {name!r}.{near}")


def load_plugins() -> Plugins:
    """Return the plugins of this environment, as `$EMBEDKIT_PLUGINS` restricts them.

    They are found once for each search path and setting, so a changed path or setting is seen without a reload.
    """
    return _load_for(os.environ.get(ENVIRONMENT), tuple(sys.path))


@lru_cache(maxsize=8)
def _load_for(only: str | None, path: tuple[str, ...]) -> Plugins:
    names = None if only is None else {n.strip() for n in only.split(",") if n.strip()}
    return discover(names, list(path))


def discover(only: Iterable[str] | None = None, path: list[str] | None = None) -> Plugins:
    """Find and load plugins: the built-in trainers always, then installed ones by name.

    Parameters
    ----------
    only
        Names of entry points or distributions to load; None loads all, an empty one none.
    path
        Folders to look for distributions in; `sys.path` where None.
    """
    loader = _Loader()
    loader.add(Plugin("core", DISTRIBUTION, _own_version()), lambda: import_module(_BUILT_IN))
    wanted = None if only is None else set(only)
    met = set()
    for plugin, entry_point in _entry_points(path):
        if wanted is None or wanted & {plugin.name, plugin.distribution}:
            loader.add(plugin, entry_point.load)
            met |= {plugin.name, plugin.distribution}
    for name in sorted((wanted or set()) - met):
        loader.report(Plugin(name, "no distribution", ""), f"is named in {ENVIRONMENT} but is not installed")
    return loader.plugins


def _entry_points(path: list[str] | None) -> list[tuple[Plugin, metadata.EntryPoint]]:
    """Return each distribution's entry points once, the project's own first, then by name."""
    found: dict[tuple[str, str], tuple[Plugin, metadata.EntryPoint]] = {}
    for distribution in metadata.distributions(path=sys.path if path is None else path):
        points = [p for p in distribution.entry_points if p.group == hookspecs.NAMESPACE]
        if points:
            name = distribution.metadata["Name"] or "an unnamed distribution"
            for point in points:
                plugin = Plugin(point.name, name, distribution.version or "")
                found.setdefault((name, point.name), (plugin, point))
    return sorted(found.values(), key=lambda f: (f[0].distribution != DISTRIBUTION, f[0].distribution, f[0].name))


def _own_version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "not installed"


class _Loader:
    """Loads one plugin after another into `plugins`, turning every failure into a `Problem`."""

    def __init__(self) -> None:
        self.plugins = Plugins()
        self._manager = pluggy.PluginManager(hookspecs.NAMESPACE)
        self._manager.add_hookspecs(hookspecs)

    def report(self, plugin: Plugin, message: str) -> None:
        self.plugins.problems.append(Problem(plugin.name, plugin.distribution, message))

    def add(self, plugin: Plugin, load: Callable[[], Any]) -> None:
        """Load a plugin and call its hooks; whatever it raises is reported under its name."""
        hooks: tuple[str, ...] = ()
        try:
            module = load()
            if self._manager.is_registered(module):
                raise PluginError("is the same module as another plugin; name it once")
            self._manager.register(module, name=f"{plugin.distribution}:{plugin.name}")
            hooks = self._call_hooks(plugin, module)
        except (Exception, SystemExit) as error:
            self.report(plugin, _one_line(error))
        self.plugins.found.append(Plugin(plugin.name, plugin.distribution, plugin.version, hooks))

    def _call_hooks(self, plugin: Plugin, module: Any) -> tuple[str, ...]:
        callers = self._manager.get_hookcallers(module) or []
        for caller in callers:
            if not caller.has_spec():
                near = did_you_mean(caller.name, _HOOKS) or f" The hooks are: {', '.join(_HOOKS)}."
                self.report(plugin, f"there is no hook {caller.name!r}.{near}")
        if not callers:
            self.report(plugin, f"implements no hook; mark one of {', '.join(_HOOKS)} with @embedkit.hookimpl")
        known = [caller for caller in callers if caller.has_spec()]
        for caller in known:
            for implementation in caller.get_hookimpls():
                if implementation.plugin is module:
                    try:
                        implementation.function(getattr(self, f"_{caller.name}")(plugin))
                    except (Exception, SystemExit) as error:
                        self.report(plugin, f"{caller.name} failed: {_one_line(error)}")
        return tuple(sorted(caller.name for caller in known))

    def _register_sources(self, plugin: Plugin) -> Callable[[type[Source]], None]:
        def register(source: type[Source]) -> None:
            options = _check_class("source", source, Source, ("sentences", "batches"))
            _refuse(source, options & RESERVED_OPTIONS, "reserved by the command line")
            for trainer in self.plugins.trainers.values():
                taken = (options & _option_names(trainer)) - SHARED_OPTIONS
                _refuse(source, taken, f"already an option of trainer {trainer.name!r}")
            self._put(plugin, "source", source.name, source, self.plugins.sources)

        return register

    def _register_trainers(self, plugin: Plugin) -> Callable[[type[Trainer]], None]:
        def register(trainer: type[Trainer]) -> None:
            options = _check_class("trainer", trainer, Trainer, ("train",))
            _refuse(trainer, options & (RESERVED_OPTIONS | {"input"}), "reserved by the command line")
            for source in self.plugins.sources.values():
                taken = (options & _option_names(source)) - SHARED_OPTIONS
                _refuse(trainer, taken, f"already an option of source {source.name!r}")
            self._put(plugin, "trainer", trainer.name, trainer, self.plugins.trainers)

        return register

    def _register_exporters(self, plugin: Plugin) -> Callable[[type[Exporter]], None]:
        def register(exporter: type[Exporter]) -> None:
            options = _check_class("exporter", exporter, Exporter, ("write",))
            _refuse(exporter, options & RESERVED_FOR_EXPORT, "reserved by the command line")
            self._put(plugin, "exporter", exporter.name, exporter, self.plugins.exporters)

        return register

    def _register_query_builders(self, plugin: Plugin) -> Callable[[str, QueryBuilder], None]:
        def register(name: str, builder: QueryBuilder) -> None:
            _check_name("query builder", name)
            if not callable(builder):
                raise PluginError(f"query builder {name!r} is no function of (history, context)")
            self._put(plugin, "query builder", name, builder, self.plugins.query_builders)

        return register

    def _put(self, plugin: Plugin, kind: str, name: str, thing: T, registry: dict[str, T]) -> None:
        if name in registry:
            provider = self.plugins.providers[kind, name]
            self.report(plugin, f"the {kind} name {name!r} is already taken by {provider}; rename this one")
            return
        registry[name] = thing
        self.plugins.providers[kind, name] = plugin.distribution


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, EmbedkitError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _check_name(kind: str, name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(f"a {kind} needs a name of lower-case letters, digits and hyphens; got {name!r}")


def _check_class(kind: str, given: Any, base: Any, methods: tuple[str, ...]) -> set[str]:
    """Check that `given` derives from `base`, is named and gives one of `methods`; return its options' names."""
    if not (inspect.isclass(given) and issubclass(given, base)):
        raise PluginError(f"register a class that derives from embedkit.{base.__name__}; got {given!r}")
    name = getattr(given, "name", None)
    _check_name(kind, name)
    if all(getattr(given, m) is getattr(base, m) for m in methods):
        raise PluginError(f"{kind} {name!r} has no {' or '.join(methods)}()")
    try:
        return _option_names(given)
    except (TypeError, NameError) as error:
        raise PluginError(f"the options of {kind} {name!r}: {error}") from error


def _option_names(registered: Any) -> set[str]:
    return {spec.name for spec in describe(registered.Options)}


def _refuse(registered: Any, names: set[str], why: str) -> None:
    if names:
        raise PluginError(f"option {', '.join(sorted(names))} of {registered.name!r} is {why}; rename it")
