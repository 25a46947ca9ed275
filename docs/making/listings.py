"""Pages of the examples: a folder's README and its files, as they lie in the checkout."""

import re
from pathlib import Path

LANGUAGES = {".py": "python", ".toml": "toml"}
ALONE = "examples/scripts.md"


def pages(root: Path) -> dict[str, str]:
    """Return the pages by their paths: one of the scripts that stand alone, then one for each folder."""
    folder = root / "examples"
    made = {ALONE: "# Scripts\n\nEach runs as it is: `python examples/words.py`.\n\n" + _listing(folder, folder)}
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        text = (path / "README.md").read_text(encoding="utf-8")
        text = re.sub(r"\]\(([\w/]+\.py)\)", lambda link: f"](#{_anchor(link[1])})", text)
        made[f"examples/{path.name}.md"] = text.replace("](../../docs/", "](../") + "\n" + _listing(path, path)
        if (path / "tests").is_dir():
            made[f"examples/{path.name}.md"] += _listing(path / "tests", path)
    return made


def page_of(path: str) -> str | None:
    """Return the page that shows a file or folder of the checkout, or None."""
    parts = Path(path).parts
    if parts[:1] != ("examples",):
        return None
    return f"examples/{parts[1]}.md" if len(parts) > 1 and "." not in parts[1] else ALONE


def _listing(folder: Path, base: Path) -> str:
    text = ""
    for path in sorted(folder.iterdir()):
        if language := LANGUAGES.get(path.suffix):
            name = str(path.relative_to(base))
            text += f"## {name} {{ #{_anchor(name)} }}\n\n```{language}\n{path.read_text(encoding='utf-8')}```\n\n"
    return text


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
