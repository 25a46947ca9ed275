"""Runs the commands and Python blocks of Markdown pages and compares what they print with what the pages say.

    python3 readme.py [--fresh] PAGE...

What a fenced block is, its first line says:

- `console`: commands (lines that begin with `$ `), each followed by what it prints on standard output. Those that end
  in `pytest` are left to whoever calls this.
- `python`: is run; blocks of a page share their names. A `text` block right behind it is what it prints.
- anything with `title="a/file"`: stands in that file of the checkout, word for word.
- `sh`, or no word: is not run, as it needs files that are not here, or much time. It is counted.
- anything else, such as `json`: is only to be looked at.

`...` in expected output stands for anything. Commands of a README run in its folder, those of other pages in the root
of the checkout. A page has a copy of the checkout and an environment of its own, so that it may write and install what
it likes: a new one with `--fresh`, else one that sees what is installed beside this Python. Pages run side by side.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import venv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```([a-z]*)([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.safetensors", "_site")
MOST_SECONDS = 300  # a block
PYTHON = """
import contextlib, io, json, sys, traceback
def serve(replies):
    for line in sys.stdin:
        heard, error = io.StringIO(), ""
        with contextlib.redirect_stdout(heard):
            try:
                exec(compile(json.loads(line), "<page>", "exec"), globals())
            except BaseException:
                error = traceback.format_exc()
        print(json.dumps([heard.getvalue(), error]), file=replies, flush=True)
serve(sys.stdout)
"""


@dataclass(frozen=True)
class Block:
    """A piece of a page: a command, Python code, an excerpt of a file, or what is not run."""

    kind: str
    code: str
    expected: str = ""


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page, a console's commands one by one."""
    found: list[Block] = []
    end = 0
    for fence in FENCE.finditer(page):
        word, more, body = fence.groups()
        right_behind, end = not page[end : fence.start()].strip(), fence.end()
        if title := TITLE.search(more):
            found.append(Block("excerpt", body, title[1]))
        elif word == "text" and right_behind and found and found[-1].kind == "python":
            found[-1] = Block("python", found[-1].code, body)
        elif word == "console":
            found += _commands(body)
        elif word in ("python", "sh", ""):
            found.append(Block(word if word == "python" else "not run", body))
    return found


def _commands(body: str) -> Iterator[Block]:
    for command in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        code, _, expected = command.partition("\n")
        while code.endswith("\\"):
            more, _, expected = expected.partition("\n")
            code = code[:-1] + more.lstrip("> ")
        yield Block("not run" if code.endswith("pytest") else "console", code, expected)


def same(printed: str, expected: str) -> bool:
    """Compare line by line, `...` matching anything and blanks at the ends of lines and of the text aside."""
    pattern = "\n".join(line.rstrip() for line in expected.strip("\n").splitlines())
    text = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    escaped = re.sub(r"([\[\]?*])", r"[\1]", pattern).replace("...", "*")
    return fnmatch.fnmatchcase(text, escaped)


def make_environment(folder: Path, fresh: bool) -> None:
    """Make a virtual environment; one that is not fresh sees the packages and scripts of this Python's."""
    venv.create(folder, with_pip=fresh)
    if fresh:
        return
    (packages,) = folder.glob("lib/python*/site-packages")
    beneath, scripts = sysconfig.get_path("purelib"), Path(sysconfig.get_path("scripts"))
    (packages / "beneath.pth").write_text(f"import site; site.addsitedir({beneath!r})\n")
    for script in scripts.iterdir():
        mine = folder / "bin" / script.name
        if script.is_file() and not script.is_symlink() and not mine.exists() and script.read_bytes()[:2] == b"#!":
            mine.write_text(script.read_text(encoding="utf-8").replace(f"{scripts}/", f"{folder}/bin/"))
            mine.chmod(0o755)


class Workplace:
    """A copy of the checkout, an environment, and the processes that a page has started there."""

    def __init__(self, folder: Path, page: Path, fresh: bool) -> None:
        self.checkout = folder / "checkout"
        self.cwd = self.checkout / page.parent.relative_to(ROOT) if page.stem.startswith("README") else self.checkout
        shutil.copytree(ROOT, self.checkout, ignore=LEFT_OUT)
        make_environment(folder / "venv", fresh)
        self.variables = {
            **os.environ,
            "PATH": f"{folder / 'venv/bin'}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(folder / "venv"),
            "PIP_QUIET": "1",
            "COLUMNS": "80",
        }
        self.started: list[subprocess.Popen[str]] = []
        self.python: subprocess.Popen[str] | None = None

    def start(self, *call: str, **streams: int) -> subprocess.Popen[str]:
        """Start a process in a group of its own, so that what it leaves behind can be ended with the page."""
        process = subprocess.Popen(
            call, cwd=self.cwd, env=self.variables, text=True, encoding="utf-8", start_new_session=True,
            stdout=subprocess.PIPE, **streams,
        )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, block: Block) -> tuple[str, str]:
        """Run a block; return what it printed, and what went wrong."""
        if block.kind == "console":
            bash = self.start("bash", "-c", block.code, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            printed, error = bash.communicate(timeout=MOST_SECONDS)
            return printed, f"exit {bash.returncode}: {error}" if bash.returncode else ""
        if self.python is None or self.python.poll() is not None:
            self.python = self.start("python", "-P", "-c", PYTHON, stdin=subprocess.PIPE)
        assert self.python.stdin
        assert self.python.stdout
        watch = threading.Timer(MOST_SECONDS, self.python.kill)
        watch.start()
        print(json.dumps(block.code), file=self.python.stdin, flush=True)
        reply = self.python.stdout.readline()
        watch.cancel()
        return tuple(json.loads(reply)) if reply else ("", f"Python has ended, or took more than {MOST_SECONDS} s.")

    def close(self) -> None:
        """End what still runs."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def problem(block: Block, workplace: Workplace) -> str:
    """Return what is wrong with a block, if anything."""
    if block.kind == "excerpt":
        file = workplace.checkout / block.expected
        there = file.is_file() and f"\n{block.code}" in f"\n{file.read_text(encoding='utf-8')}"
        return "" if there else f"-- {block.code}\nstands not so in {block.expected}\n"
    try:
        printed, error = workplace.run(block)
    except subprocess.TimeoutExpired:
        printed, error = "", f"it took more than {MOST_SECONDS} s"
    if error or not same(printed, block.expected):
        return f"-- {block.code}\nexpected:\n{block.expected}\nprinted:\n{printed}{error}\n"
    return ""


def check(page: str, fresh: bool) -> bool:
    """Run a page and report; return whether all was as it says."""
    start = time.monotonic()
    found = blocks(Path(page).read_text(encoding="utf-8"))
    meant = [block for block in found if block.kind != "not run"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        workplace = Workplace(Path(folder).resolve(), Path(page).resolve(), fresh) if meant else None
        try:
            problems = [text for block in meant if workplace and (text := problem(block, workplace))]
        finally:
            if workplace:
                workplace.close()
    report = f"{page}: {len(meant) - len(problems)} blocks are as the page says, {len(problems)} are not, "
    report += f"{len(found) - len(meant)} were not run ({time.monotonic() - start:.0f} s)"
    print("\n".join([report, *problems]), flush=True)
    return not problems


def main() -> int:
    """Check all pages; return 1 if one says what is not so."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fresh", action="store_true", help="in an environment in which nothing is installed")
    parser.add_argument("pages", nargs="+", metavar="PAGE")
    given = parser.parse_args()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        fine = list(pool.map(lambda page: check(page, given.fresh), given.pages))
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
