"""The strings and modules of the page, read as text."""

import re
from pathlib import Path

import embedkit

PAGE = Path(embedkit.__file__).parent / "server" / "page"


def test_the_languages_say_the_same_things():
    source = "".join(path.read_text("utf-8") for path in PAGE.rglob("*.js") if path.parent.name != "language")
    strings = {}
    for language in ("en", "ko"):
        text = (PAGE / "language" / f"{language}.js").read_text("utf-8")
        found = re.findall(r"^  (\w+):(.*?)(?=^  \w|^  //|^\};|^$)", text, re.MULTILINE | re.DOTALL)
        strings[language] = {key: set(re.findall(r"\{(\w+)\}", value)) for key, value in found}
    assert strings["en"] == strings["ko"]
    assert set(re.findall(r'\bt\("(\w+)"', source)) <= set(strings["en"])
    assert [key for key in strings["en"] if f'"{key.removesuffix("OfWords")}"' not in source] == ["languageName"]
    of_words = {key for key in strings["en"] if key.endswith("OfWords")}
    assert {key.removesuffix("OfWords") for key in of_words} <= set(strings["en"])
    for key in of_words:
        assert strings["en"][key] == strings["en"][key.removesuffix("OfWords")]


def test_every_module_is_loaded_beforehand():
    index = (PAGE / "index.html").read_text("utf-8")
    named = set(re.findall(r'(?:src|href)="page/([^"]+\.js)"', index))
    assert named == {path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*.js")}
