"""Nothing that embedkit reads is ever run: no code made of text, no pickles, no shell, in any file of it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path
    for folder in ("embedkit", "plugins", "examples")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts and "tests" not in path.relative_to(ROOT).parts
)

RUNS_CODE = {"eval", "exec", "compile", "__import__", "execfile"}
UNSAFE_MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "jsonpickle"}
UNSAFE_CALLS = {
    "os.system", "os.popen", "os.startfile", "subprocess.getoutput", "subprocess.getstatusoutput",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.load", "pandas.read_pickle", "pd.read_pickle",
    "asyncio.create_subprocess_shell", "tempfile.mktemp",
}  # fmt: skip
OWN_PROCESSES = {
    "embedkit_graph/mat.py": "MATLAB files are read by SciPy in a process of its own: a list of arguments, no shell",
}


def names_of(node):
    """`os.system` for the call `os.system(...)`; nothing for what is no plain name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def is_true(node):
    return not (isinstance(node, ast.Constant) and node.value is False)


def faults_of(source):
    """What a file must not do, with the lines where it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            yield from (f"{node.lineno}: {name}" for name in modules if name.partition(".")[0] in UNSAFE_MODULES)
            if isinstance(node, ast.ImportFrom):
                called = [f"{node.module}.{one.name}" for one in node.names]
                yield from (f"{node.lineno}: {name}" for name in called if name in UNSAFE_CALLS)
        if isinstance(node, ast.Call):
            name = names_of(node.func)
            if name in RUNS_CODE | UNSAFE_CALLS or name.removeprefix("builtins.") in RUNS_CODE:
                yield f"{node.lineno}: {name}"
            for keyword in node.keywords:
                if keyword.arg in ("shell", "allow_pickle") and is_true(keyword.value):
                    yield f"{node.lineno}: {keyword.arg}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_is_read_is_run(path):
    assert list(faults_of(path.read_text(encoding="utf-8"))) == []


def test_no_process_is_started_but_those_with_a_reason():
    starting = {path for path in FILES if "subprocess" in path.read_text(encoding="utf-8")}
    assert {"/".join(path.parts[-2:]) for path in starting} == OWN_PROCESSES.keys()


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)", "exec(code)", "compile(text, '', 'exec')", "builtins.eval(text)", "import pickle",
        "from pickle import loads", "import joblib.numpy_pickle", "import os\nos.system('ls')", "from os import popen",
        "subprocess.run('ls', shell=True)", "subprocess.run('ls', shell=yes)", "np.load(path, allow_pickle=True)",
        "yaml.load(text)", "pd.read_pickle(path)", "__import__(name)",
    ],
)  # fmt: skip
def test_the_rules_find_what_they_forbid(source):
    assert list(faults_of(source))


def test_the_rules_let_pass_what_only_sounds_like_it():
    source = "import re\nre.compile('x')\nself.compile()\nnp.load(path, allow_pickle=False)\nmodel.eval()\n"
    assert list(faults_of(source)) == []
