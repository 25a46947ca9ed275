"""The rules of the house: which room may import which, what stays unimported until it is used."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import embedkit

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "embedkit"
PLUGINS = ROOT / "plugins"
HEAVY = (
    "numpy", "pandas", "pyarrow", "duckdb", "numba", "scipy", "optuna", "sqlalchemy", "matplotlib", "umap",
    "lancedb", "psycopg", "qdrant_client",
)  # fmt: skip

# What a signature may name besides, under TYPE_CHECKING.
FOR_TYPING = {
    "contracts": {"corpus", "embeddings", "names"},
    "hookspecs": {"corpus"},
    "embeddings": {"corpus"},
    "checkpoints": {"corpus"},
}

# Each room and the rooms it may import, besides itself, `errors`, and what those may import.
ROOMS = {
    "__init__": {"training", "tuning", "extending", "growing", "cli"},
    "__main__": {"cli"},
    "errors": set(),
    "options": set(),
    "compiled": set(),
    "memory": set(),
    "locks": set(),
    "names": set(),
    "contracts": {"options"},
    "hookspecs": {"contracts"},
    "plugins": {"hookspecs", "contracts"},
    "builtin": {"hookspecs", "trainers", "exporters"},
    "engines": {"contracts", "memory"},
    "corpus": {"contracts", "names", "compiled", "memory", "engines", "locks"},
    "queries": {"contracts", "compiled"},
    "scoring": {"contracts", "compiled", "memory"},
    "embeddings": {"queries", "scoring", "names", "plugins", "memory", "locks"},
    "trainers": {"corpus", "embeddings", "queries", "memory"},
    "exporters": {"contracts", "embeddings", "names", "compiled"},
    "checkpoints": {"embeddings"},
    "training": {"plugins", "corpus", "embeddings", "trainers", "evaluation", "checkpoints"},
    "evaluation": {"corpus", "embeddings", "memory"},
    "tuning": {"training", "evaluation"},
    "sklearn": {"training"},
    "extending": {"embeddings", "memory"},
    "growing": {"training"},
    "atlas": {"embeddings"},
    "server": {"embeddings", "atlas", "corpus"},
    "cli": {"training", "evaluation", "tuning", "extending", "growing", "atlas", "server"},
}


# The rooms within `trainers`, and which of them each may import; the modules beside them are the trainers themselves.
WAYS_OF_LEARNING = {
    "machinery": set(),
    "sampling": {"machinery"},
    "factors": {"machinery"},
    "counting": {"machinery", "factors"},
    "contrast": {"machinery", "factors"},
}


def python_files(folder):
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def allowed(room):
    result = {room, "errors"}
    for other in ROOMS[room]:
        result |= {other} | allowed(other)
    return result


def imported(path, runtime_only=False):
    """The dotted names of all modules, and of what is taken from them, that a file imports, anywhere in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = set()
    if runtime_only:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                typing_only |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", WAYS_OF_LEARNING)
def test_ways_of_learning_share_what_is_below_them_alone(room):
    others = set(WAYS_OF_LEARNING) - WAYS_OF_LEARNING[room] - {room}
    for path in python_files(PACKAGE / "trainers" / room):
        for name in imported(path):
            parts = name.split(".")
            if parts[:2] == ["embedkit", "trainers"]:
                assert parts[2] not in others, f"{path.name} of {room} imports {name}"


@pytest.mark.parametrize("path", python_files(PACKAGE), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_the_rooms_below_it(path):
    room = room_of(path)
    assert room in ROOMS, f"{room} is a new room: say in ROOMS what it may import"
    public = set(embedkit.__all__)
    typing_allowed = allowed(room) | FOR_TYPING.get(room, set())
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "embedkit" or len(parts) == 1:
            continue
        if parts[1] in ROOMS:
            assert parts[1] in typing_allowed, f"{path.name} of room {room} imports {name}"
        else:
            assert parts[1] in public, f"{path.name} of room {room} imports {name}"
    for name in imported(path, runtime_only=True):
        parts = name.split(".")
        if parts[0] == "embedkit" and len(parts) > 1 and parts[1] in ROOMS:
            assert parts[1] in allowed(room), f"{path.name} of room {room} imports {name} when it runs"


@pytest.mark.parametrize("path", python_files(PACKAGE), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_imports_click_and_nobody_imports_plugins(path):
    for name in imported(path):
        package = name.partition(".")[0]
        assert package not in {"click", "rich"} or room_of(path) == "cli"
        assert not package.startswith("embedkit_"), f"{path} imports the plugin {package}"


@pytest.mark.parametrize("path", python_files(PLUGINS), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_a_plugin_uses_only_public_names_of_embedkit(path):
    public = set(embedkit.__all__)
    own = path.relative_to(PLUGINS).parts[0]
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "embedkit":
            assert len(parts) == 1 or (len(parts) == 2 and parts[1] in public), f"{path.name} imports {name}"
        assert not parts[0].startswith("embedkit_") or parts[0] == own, f"{path.name} imports another plugin"
        assert parts[0] != "click"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "embedkit":
            assert node.attr in public, f"{path.name} uses embedkit.{node.attr}"


def heavy_modules_after(code):
    env = {name: value for name, value in os.environ.items() if not name.startswith("EMBEDKIT_")}
    program = f"import sys\n{code}\nprint(*[m for m in {(*HEAVY, 'rich')!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, check=True)
    return done.stdout.splitlines()[-1].split()


def test_a_plugins_import_brings_nothing_heavy():
    packages = [folder.name for folder in PLUGINS.iterdir() if (folder / "__init__.py").exists()]
    assert packages
    assert heavy_modules_after(f"import {', '.join(packages)}, embedkit, embedkit.builtin") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["train", "--source", "sessions", "--help"],
        ["tune", "--source", "sessions", "--help"],
        ["map", "--help"],
        ["plot", "evaluation", "--help"],
        ["sources"],
        ["plugins"],
    ],
)
def test_help_and_lists_bring_nothing_heavy(arguments):
    code = (
        "from embedkit.cli.app import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit as leaving:\n    assert leaving.code == 0\n"
    )
    assert heavy_modules_after(code) == []


def test_the_first_help_finds_no_plugins():
    code = (
        "from embedkit.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    assert 'pluggy' not in sys.modules"
    )
    assert heavy_modules_after(code) == []


def test_files_stay_small_and_have_a_purpose():
    for path in (*python_files(PACKAGE), *python_files(PLUGINS)):
        lines = path.read_text(encoding="utf-8").splitlines()
        # Kernels that call each other share a file, or numba's cache goes stale.
        limit = 600 if path.name.startswith("kernels") else 400
        assert len(lines) <= limit, f"{path} has {len(lines)} lines"
        assert path.name not in {"utils.py", "helpers.py", "misc.py", "common.py"}


def test_nobody_is_told_to_install_what_belongs_to_somebody_else():
    wrong = "pip install " + "embedkit"
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *python_files(PACKAGE), *python_files(PLUGINS)):
        assert wrong not in path.read_text(encoding="utf-8"), path


def test_the_public_names_resolve():
    for name in embedkit.__all__:
        assert getattr(embedkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing_like_it'"):
        _ = embedkit.nothing_like_it
