"""Runs every command and Python block of a Markdown page and compares what they print with what the page says.

    python3 readme.py PAGE

A fenced `console` block holds commands (lines that begin with `$ `), each followed by what it prints on standard
output. A fenced `python` block is run in a namespace that all of them share; a `text` block right behind it is what it
prints. `...` in expected output stands for anything. Commands run in a fresh virtual environment and a copy of the
checkout; those that end in `pytest` are left to whoever calls this.
"""

import contextlib
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

BLOCK = re.compile(r"^```(console|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Return the page's blocks as (kind, code, expected output)."""
    found: list[tuple[str, str, str]] = []
    for kind, body in BLOCK.findall(page):
        if kind == "text" and found and found[-1][0] == "python":
            found[-1] = ("python", found[-1][1], body)
        elif kind == "python":
            found.append((kind, body, ""))
        elif kind == "console":
            for command in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                code, _, expected = command.partition("\n")
                while code.endswith("\\"):
                    more, _, expected = expected.partition("\n")
                    code = code[:-1] + more.lstrip("> ")
                found.append((kind, code, expected))
    return found


def same(printed: str, expected: str) -> bool:
    """Compare line by line, `...` matching anything and blanks at the ends of lines and of the text aside."""
    pattern = "\n".join(line.rstrip() for line in expected.strip("\n").splitlines())
    text = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    escaped = re.sub(r"([\[\]?*])", r"[\1]", pattern).replace("...", "*")
    return fnmatch.fnmatchcase(text, escaped)


def main(page: str) -> int:
    """Run the page; return how many blocks printed something else."""
    root = Path(page).resolve().parent
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(
            root, folder, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.safetensors"), dirs_exist_ok=True
        )
        environment = Path(folder, ".venv")
        venv.create(environment, with_pip=True)
        variables = {
            **os.environ,
            "PATH": f"{environment / 'bin'}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(environment),
            "PIP_QUIET": "1",
            "COLUMNS": "80",
        }
        python = ""
        for kind, code, expected in blocks((root / page).read_text(encoding="utf-8")):
            if kind == "console" and code.endswith("pytest"):
                continue
            if kind == "python":
                # Earlier blocks run again, unheard, so that each block may use what they defined.
                call = [str(environment / "bin/python"), "-c", f"{_muted(python)}{code}"]
                python += code
            else:
                call = ["bash", "-c", code]
            done = subprocess.run(call, env=variables, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode or not same(done.stdout, expected):
                wrong += 1
                print(
                    f"-- {code}\nexpected:\n{expected}\nprinted (exit {done.returncode}):\n{done.stdout}{done.stderr}"
                )
            else:
                print(f"ok: {code.splitlines()[0]}")
    return wrong


def _muted(code: str) -> str:
    if not code:
        return ""
    return f"import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n    exec({code!r})\n"


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1]), 1))
