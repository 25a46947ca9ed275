"""A map as one HTML file that needs nothing else: no network, no server, no code of others."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.atlas.mapping import Map
from embedkit.atlas.neighbours import Neighbours
from embedkit.atlas.palette import COLOURS
from embedkit.embeddings.replacing import replacing

VIEWER = resources.files("embedkit.atlas") / "viewer"
"""The folder of the viewer's modules; `map.js` and those it imports draw the server's map, too."""

_MODULES = ("grid.js", "raster.js", "labels.js", "gestures.js", "map.js", "unpack.js", "page.js")
"""What goes into the page, each behind those that it imports."""

_FINEST = 65_535
METHOD_NAMES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


def page(drawn: Map, neighbours: Neighbours, title: str) -> str:
    """Return the HTML of a map.

    Names of tokens, groups and keys are in it as compressed data alone, which the page shows as text; the title is
    escaped. Its content security policy lets nothing run or load but the page's own script and style.

    Parameters
    ----------
    neighbours
        Of the map's points, as places in its lists.
    """
    script, style = _script(), _read("page.css")
    parts = {
        "title": html.escape(title), "style": style, "script": script, "data": json.dumps(_packed(drawn, neighbours)),
        "script_hash": _hash(script), "style_hash": _hash(style),
    }  # fmt: skip
    return re.sub(r"\{(\w+)\}", lambda hole: parts[hole[1]], _read("page.html"))


def write_page(drawn: Map, neighbours: Neighbours, path: Path, title: str) -> None:
    """Write the HTML of a map; see `page`.

    Raises
    ------
    ModelError
        If the file cannot be written.
    """
    with replacing(path) as file:
        file.write(page(drawn, neighbours, title).encode())


def _packed(drawn: Map, neighbours: Neighbours) -> dict[str, Any]:
    x, y = (_quantised(drawn.places[:, axis]) for axis in (0, 1))
    spans = np.ptp(drawn.places, axis=0) if len(drawn) else np.zeros(2)
    facts = {
        "tokens": drawn.tokens,
        "labels": drawn.labels if drawn.labels != drawn.tokens else None,
        "names": drawn.groups.names,
        "rest": drawn.groups.rest,
        "colours": COLOURS,
        "keys": [vars(trail) for trail in drawn.trails],
        "method": METHOD_NAMES[drawn.method],
        "aspect": float(spans[1] / spans[0]) if spans[0] > 0 else 1.0,
    }
    hundredths = np.rint(neighbours.cosines * 100).astype(np.int16)
    return {
        "text": {"deflate": _deflated(json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode())},
        "x": _numbers(x),
        "y": _numbers(y),
        "groups": _numbers(drawn.groups.ids),
        "neighbours": _numbers(neighbours.ids.astype(np.uint32)),
        # Differences between one and the next: small numbers pack smaller.
        "cosines": _numbers(np.diff(hundredths, axis=1, prepend=np.int16(0))),
    }


def _quantised(values: np.ndarray) -> np.ndarray:
    """Return numbers as uint16, the least as 0 and the greatest as 65,535; all 0 where they are the same."""
    low, span = float(values.min(initial=np.inf)), float(np.ptp(values)) if len(values) else 0.0
    # In float64: a span may be so small that its inverse is no float32.
    shares = (values.astype(np.float64) - low) / span if span else np.zeros(len(values))
    return np.rint(shares * _FINEST).astype(np.uint16)


def _numbers(values: np.ndarray) -> dict[str, str]:
    """Return numbers as the page's `unpack.js` reads them: the lowest bytes of all first, then the next ones."""
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    planes = little.reshape(-1, 1).view(np.uint8).T
    return {"kind": values.dtype.name, "deflate": _deflated(np.ascontiguousarray(planes).tobytes())}


def _deflated(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 6)).decode()


def _script() -> str:
    """Return the viewer's modules as one: without what each imports from and exports to the others."""
    text = "\n".join(_read(name) for name in _MODULES)
    text = re.sub(r"^import .*;\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


def _read(name: str) -> str:
    return (VIEWER / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
