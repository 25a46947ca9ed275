"""Plugins are found among installed distributions; what is wrong with one is reported by name and the rest works."""

import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import embedkit
from embedkit import hookspecs
from embedkit.errors import PluginError, UnknownNameError
from embedkit.plugins import discover, load_plugins

FAKE = Path(__file__).parent / "data" / "plugins"


@pytest.fixture
def fake_path(monkeypatch):
    """A folder of installed distributions: good, broken, misspelt, raising, colliding, odd."""
    monkeypatch.syspath_prepend(str(FAKE))
    return sys.path


def messages(plugins, name):
    return [problem.message for problem in plugins.problems if problem.plugin == name]


def test_a_good_plugin_registers_through_every_hook(fake_path):
    plugins = discover(["embedkit-good"], fake_path)
    assert plugins.problems == []
    assert (
        plugins.source("letters").summary
        == "Each word of a file is a sentence of letters; the file's first word is its key."
    )
    assert plugins.trainer("random").name == "random"
    assert callable(plugins.query_builder("last"))
    assert plugins.exporter("lines").name == "lines"
    good = next(plugin for plugin in plugins.found if plugin.name == "good")
    assert (good.distribution, good.version) == ("embedkit-good", "1.2")
    assert plugins.providers["source", "letters"] == "embedkit-good"


def test_every_hook_is_called_by_the_good_plugin(fake_path):
    plugins = discover(["embedkit-good"], fake_path)
    good = next(plugin for plugin in plugins.found if plugin.name == "good")
    declared = {name for name in vars(hookspecs) if name.startswith("register_")}
    assert set(good.hooks) == declared


def test_the_examples_in_the_hooks_docstrings_work(tmp_path):
    for name in (name for name in vars(hookspecs) if name.startswith("register_")):
        text = inspect.getdoc(getattr(hookspecs, name))
        namespace = {}
        exec(textwrap.dedent(text.partition("::\n")[2]), namespace)
        registered = []
        namespace[name](lambda *things, into=registered: into.append(things))
        assert len(registered) == 1


@pytest.mark.parametrize(
    ("distribution", "plugin", "words"),
    [
        ("embedkit-broken", "broken", "No module named 'a_package_that_nobody_has'"),
        ("embedkit-broken", "absent", "No module named 'embedkit_absent'"),
        ("embedkit-misspelt", "misspelt", "there is no hook 'register_source'. Did you mean 'register_sources'"),
        ("embedkit-raising", "raising", "register_trainers failed: RuntimeError: the licence has run out"),
        ("embedkit-colliding", "options", "option vector_size of 'alpha' is already an option of trainer"),
        ("embedkit-colliding", "reserved", "option output of 'output' is reserved by the command line"),
        ("embedkit-odd", "no-hooks", "implements no hook"),
        ("embedkit-odd", "no-source", "derives from embedkit.Source; got 42"),
        ("embedkit-odd", "bad-name", "lower-case letters, digits and hyphens; got 'SHOUTING!'"),
        ("embedkit-odd", "no-sentences", "source 'silent' has no sentences or batches()"),
        ("embedkit-odd", "bad-options", "the options of source 'complex'"),
        ("embedkit-odd", "bad-builder", "query builder 'builder' is no function"),
        ("embedkit-odd", "exits", "SystemExit: goodbye"),
    ],
)
def test_a_plugin_with_a_problem_is_reported_and_the_rest_works(fake_path, distribution, plugin, words):
    plugins = discover([distribution, "embedkit-good"], fake_path)
    (message,) = messages(plugins, plugin)
    assert words in message
    assert "\n" not in message
    assert "letters" in plugins.sources
    assert str(plugins.problems[0]).startswith(f"plugin {plugins.problems[0].plugin!r} of {distribution}: ")


def test_a_name_that_is_taken_stays_with_who_had_it_first(fake_path):
    plugins = discover(["text", "embedkit-colliding"], fake_path)
    (message,) = messages(plugins, "colliding")
    assert message == "the source name 'text' is already taken by embedkit-toolkit; rename this one"
    assert plugins.providers["source", "text"] == "embedkit-toolkit"
    assert plugins.source("text").__module__.startswith("embedkit_text")


def test_a_misspelt_hook_leaves_the_right_ones_working(fake_path):
    assert "fine" in discover(["misspelt"], fake_path).sources


def test_check_raises_with_every_problem(fake_path):
    with pytest.raises(PluginError, match=r"plugin 'absent' .*; plugin 'broken' "):
        discover(["embedkit-broken"], fake_path).check()
    discover(["embedkit-good"], fake_path).check()


def test_only_those_named_are_loaded(fake_path):
    assert "letters" not in discover([], fake_path).sources
    assert set(discover(["good"], fake_path).sources) == {"letters"}
    assert "skipgram" in discover([], fake_path).trainers


def test_a_name_that_is_not_installed_is_reported(fake_path):
    (problem,) = discover(["nowhere"], fake_path).problems
    assert "'nowhere'" in str(problem)
    assert "not installed" in str(problem)


def test_the_environment_restricts_and_is_seen_without_a_reload(fake_path, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_PLUGINS", "")
    assert load_plugins().sources == {}
    monkeypatch.setenv("EMBEDKIT_PLUGINS", "good, text")
    assert set(load_plugins().sources) == {"letters", "text"}
    assert load_plugins() is load_plugins()


def test_a_changed_path_is_seen_without_a_reload(monkeypatch):
    monkeypatch.setenv("EMBEDKIT_PLUGINS", "good")
    assert "letters" not in load_plugins().sources
    monkeypatch.syspath_prepend(str(FAKE))
    assert "letters" in load_plugins().sources


def test_first_party_plugins_come_in_by_the_front_door():
    plugins = discover(["embedkit-toolkit"])
    assert plugins.problems == []
    assert {"text", "sessions"} <= set(plugins.sources)
    assert {plugin.distribution for plugin in plugins.found} == {"embedkit-toolkit"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda plugins: plugins.source("leters"), "there is no source 'leters'. Did you mean 'letters'?"),
        (lambda plugins: plugins.trainer("xyz"), "skipgram"),
        (lambda plugins: plugins.query_builder("lasst"), "Did you mean 'last'?"),
        (lambda plugins: plugins.exporter("qqq"), "There are: glove, lines, npz"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(fake_path, call, words):
    with pytest.raises(UnknownNameError) as caught:
        call(discover(["good"], fake_path))
    assert words in str(caught.value)


def test_python_uses_a_plugin_like_the_command_line(fake_path, tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("abc bcd cde 123")
    embeddings = embedkit.train("letters", "random", input=(str(file),), vector_size=3)
    assert sorted(embeddings.tokens) == list("abcde")
    assert list(embeddings.keys) == ["abc"]


def test_loading_plugins_imports_nothing_heavy():
    code = (
        "import sys; from embedkit.plugins import load_plugins; plugins = load_plugins(); "
        "assert plugins.sources and plugins.trainers; "
        "print([m for m in ('numpy', 'pandas', 'pyarrow', 'duckdb', 'numba', 'scipy') if m in sys.modules])"
    )
    env = {name: value for name, value in os.environ.items() if name != "EMBEDKIT_PLUGINS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "[]\n"
