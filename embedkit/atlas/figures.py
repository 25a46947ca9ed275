"""Figures fit for print: fonts that have the letters, text that is never markup, files that appear whole or not."""

from __future__ import annotations

import contextlib
import io
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.atlas.palette import INK
from embedkit.atlas.signals import held_back
from embedkit.embeddings.replacing import replacing
from embedkit.errors import missing_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Plain faces first, then those with Hangul, other scripts of East Asia and many symbols; what is there is used.
_FACES = (
    "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans", "Noto Sans", "Noto Sans CJK KR", "Noto Sans KR",
    "NanumGothic", "NanumBarunGothic", "Malgun Gothic", "Apple SD Gothic Neo", "Noto Sans CJK JP", "Noto Sans CJK SC",
)  # fmt: skip
_LONGEST = 36
_MISSING = "missing from"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw with these fonts, lines and colours within the block.

    Raises
    ------
    EmbedkitError
        If matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise missing_extra("matplotlib", "map", "a picture") from error

    settings: dict[str, Any] = {
        "font.family": faces(), "font.size": 8, "text.parse_math": False, "text.color": INK, "axes.labelcolor": INK,
        "axes.edgecolor": INK, "axes.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
        "axes.unicode_minus": False, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "legend.frameon": False,
        "pdf.fonttype": 42, "svg.hashsalt": "embedkit",
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        yield


def faces() -> list[str]:
    """Return the fonts that are there, in the order in which letters are looked for."""
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return [face for face in _FACES if face in there] or ["sans-serif"]


def plain(name: str, longest: int = _LONGEST) -> str:
    """Return a name as a picture can hold it: one line, composed, without control characters, not too long."""
    text = unicodedata.normalize("NFC", "".join(c if c.isprintable() else " " for c in name)).strip()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def save(draw: Callable[[], Figure], path: Path, dpi: int) -> list[str]:
    """Draw a figure and write it to a file; return the letters that no font here has.

    Raises
    ------
    ModelError
        If the file cannot be written.
    """
    kind = path.suffix.lower().lstrip(".")
    with warnings.catch_warnings(record=True) as told, style():
        warnings.simplefilter("always")
        figure = draw()
        drawn = io.BytesIO()
        metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
        with held_back():
            figure.savefig(drawn, format=kind, dpi=dpi, metadata=metadata, facecolor="white")
    with replacing(path) as file:
        file.write(drawn.getvalue())
    return sorted(_letters(str(warning.message) for warning in told))


def _letters(messages: Iterable[str]) -> set[str]:
    """Return the letters of messages like `Glyph 44032 (...) missing from font(s) ...`."""
    words = (message.split() for message in messages if _MISSING in message)
    return {chr(int(word[1])) for word in words if len(word) > 1 and word[1].isdigit()}
