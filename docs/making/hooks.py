"""What mkdocs calls while it builds the site: pages made from the program and the examples, links out of `docs/`."""

import posixpath
import re
from pathlib import Path
from typing import Any

import commands
import listings
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_RUN = 'title="Not run by the tests"'


def on_config(config: Any) -> Any:
    """Put the pages that are made here into the navigation."""
    config.made = {
        **commands.pages(),
        **listings.pages(ROOT),
        "ko.md": _from_the_root((ROOT / "README.ko.md").read_text(encoding="utf-8")),
    }
    config.nav = _filled(config.nav, sorted(config.made, key=list(config.made).index))
    return config


def _from_the_root(markdown: str) -> str:
    """Return a page of the checkout's root with the links that it has in `docs/`."""
    for link, other in (("docs/", ""), ("README.md", "index.md"), ("examples", "../examples")):
        markdown = markdown.replace(f"]({link}", f"]({other}")
    return markdown


def _filled(nav: Any, made: list[str]) -> Any:
    """Replace `COMMANDS` and `EXAMPLES` by the pages of those folders."""
    if isinstance(nav, list):
        return [_filled(entry, made) for entry in nav]
    if isinstance(nav, dict):
        return {title: _filled(entry, made) for title, entry in nav.items()}
    return [path for path in made if path.startswith(f"{nav.lower()}/")] if nav.isupper() else nav


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made here."""
    for path, text in config.made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links to files of the checkout into links to pages, and say of code that the tests do not run it."""
    folder = posixpath.dirname(page.file.src_uri)
    markdown = re.sub(r"\]\(([^)#:]+)\)", lambda link: f"]({_target(link[1], folder, files)})", markdown)
    return "\n".join(_marked(markdown.splitlines(), "/" in page.file.src_uri)) + "\n"


def _target(link: str, folder: str, files: Any) -> str:
    """Return what a link of a page is on the site: examples have pages of their own."""
    if files.get_file_from_path(posixpath.normpath(posixpath.join(folder, link))):
        return link
    name = listings.page_of(posixpath.normpath(posixpath.join("docs", folder, link)))
    return posixpath.relpath(name, folder or ".") if name else link


def _marked(lines: list[str], made: bool) -> list[str]:
    """Give commands that are not run (blocks `sh`, or without a word) a title that says so; not on pages made here."""
    marked, within = [], False
    for line in lines:
        begins = line.startswith("```") and not within
        marked.append(f"```sh {NOT_RUN}" if begins and not made and line in ("```", "```sh") else line)
        within ^= line.startswith("```")
    return marked


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Turn the double colon before code in docstrings, which is reStructuredText's, into a single one."""
    return html.replace("::</p>", ":</p>")
