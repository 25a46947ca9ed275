"""The pages: which blocks are run and how their output is compared, what the program tells of its commands."""

import importlib.util
import sys
from pathlib import Path

import pytest

import embedkit
from embedkit.cli.app import app
from embedkit.options import describe
from embedkit.plugins import load_plugins

ROOT = Path(__file__).parent.parent

if not (ROOT / ".ci").is_dir():
    pytest.skip("a source distribution comes without .ci", allow_module_level=True)


def module_at(path):
    """Import a script of the checkout that is in no package."""
    spec = importlib.util.spec_from_file_location(f"documentation_{path.stem}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


readme = module_at(ROOT / ".ci" / "readme.py")
commands = module_at(ROOT / "docs" / "making" / "commands.py")
listings = module_at(ROOT / "docs" / "making" / "listings.py")


@pytest.fixture(scope="module")
def pages():
    return commands.pages()


PAGE = """
```console
$ embedkit similar \\
>     king
king
$ pytest
```
```python
print(1)
```
```text
1
```
```python
print(2)
```
Prose.
```text
no output of the block before
```
```sh
embedkit train --input mine.csv
```
```
so is this
```
```toml title="pyproject.toml"
[project]
```
"""


def test_a_block_is_what_its_first_line_says():
    kinds = [(block.kind, block.code, block.expected) for block in readme.blocks(PAGE)]
    assert kinds[:4] == [
        ("console", "embedkit similar king", "king\n"),
        ("not run", "pytest", ""),
        ("python", "print(1)\n", "1\n"),
        ("python", "print(2)\n", ""),
    ]
    assert [kind for kind, _, _ in kinds[4:]] == ["not run", "not run", "excerpt"]


@pytest.mark.parametrize(
    ("printed", "expected", "is_same"),
    [
        ("a\n", "a", True),
        ("a  \nb\n\n", "a\nb\n", True),
        ("a\nx\nb", "a\n...\nb", True),
        ("[1.234]", "[1.2...]", True),
        ("[1]", "[2]", False),
        ("a\nb", "a", False),
        ("A", "a", False),
    ],
)
def test_dots_stand_for_anything(printed, expected, is_same):
    assert readme.same(printed, expected) is is_same


def test_an_excerpt_stands_word_for_word_in_its_file(tmp_path):
    (tmp_path / "file.py").write_text("one\ntwo\nthree\n")
    place = type("Place", (), {"checkout": tmp_path})
    assert not readme.problem(readme.Block("excerpt", "two\nthree\n", "file.py"), place)
    assert readme.problem(readme.Block("excerpt", "wo\nthree\n", "file.py"), place)
    assert readme.problem(readme.Block("excerpt", "two\n", "elsewhere.py"), place)


def test_both_readmes_have_the_same_blocks():
    english, korean = (readme.blocks((ROOT / name).read_text("utf-8")) for name in ("README.md", "README.ko.md"))
    assert english == korean


def test_each_command_has_a_page(pages):
    assert {commands.page_of(name) for name in app.list_commands(None)} | {"commands/index.md"} == pages.keys()
    assert all(f"(embedkit-{name}.md)" in pages["commands/index.md"] for name in app.list_commands(None))


@pytest.mark.parametrize("kind", ["source", "trainer"])
def test_the_page_of_train_has_each_flag_of_sources_and_trainers(pages, kind):
    page = pages["commands/embedkit-train.md"]
    for name, registered in getattr(load_plugins(), f"{kind}s").items():
        section = page.partition(f"## Options of {kind} {name}\n")[2].partition("\n## ")[0]
        missing = [spec.flag for spec in describe(registered.Options) if spec.flag not in section]
        assert not missing, f"{kind} {name}"


def test_the_page_of_export_has_each_flag_of_formats(pages):
    for name, registered in load_plugins().exporters.items():
        section = pages["commands/embedkit-export.md"].partition(f"## Options of {name}\n")[2].partition("\n## ")[0]
        assert all(spec.flag in section for spec in describe(registered.Options)), name


def test_subcommands_stand_on_their_commands_page(pages):
    assert "## recommendations\n" in pages["commands/embedkit-evaluate.md"]
    assert "--test-layout" in pages["commands/embedkit-evaluate.md"]


def test_what_help_says_is_shown_as_it_is(pages):
    assert "`` --source NAME ``" in pages["commands/embedkit-train.md"]
    assert "TRAINER.OPTION=VALUE" in pages["commands/embedkit-evaluate.md"]
    assert "\\[default: embedkit.safetensors\\]" in pages["commands/embedkit-train.md"]


def test_examples_have_pages_with_their_code():
    made = listings.pages(ROOT)
    assert (ROOT / "examples" / "words.py").read_text("utf-8") in made["examples/scripts.md"]
    plugin = made["examples/embedkit-playlists.md"]
    assert "class Playlists" in plugin
    assert "def test_the_installed_plugin_is_found" in plugin


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("examples", "examples/scripts.md"),
        ("examples/words.py", "examples/scripts.md"),
        ("examples/lessons", "examples/lessons.md"),
        ("examples/lessons/README.md", "examples/lessons.md"),
        ("tests", None),
    ],
)
def test_links_to_examples_lead_to_their_pages(path, page):
    assert listings.page_of(path) == page


def test_each_public_name_stands_in_the_reference():
    page = (ROOT / "docs" / "python-reference.md").read_text("utf-8")
    names = set(embedkit.__all__) - {"__version__"}
    assert {name for name in names if f"embedkit.{name}" not in page} == set()
