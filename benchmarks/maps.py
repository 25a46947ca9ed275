"""How fluid the page of a map is: sizes of files, and times between frames in a real Chromium without graphics card.

    python benchmarks/maps.py [--points 20000 --points 100000] [--method pca]

It needs no data, but Chromium, chromedriver and selenium: it makes models of points in a thousand groups. Each frame
is timed in the page: `painting` is what the map's own code takes, `frame` what passes from one frame to the next.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import markdown

import embedkit
from embedkit.atlas import Method, clusters, make_map, nearest, write_page

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1280,900"
)
MOVES = {
    "pan, all in sight": "v.pan(i % 2 ? 3 : -3, 2)",
    "zoom in": "v.zoom(1.05)",
    "pan, zoomed in": "v.pan(5, 1)",
    "hover": "v.hover(i * 7)",
}
MEASURE = """
const [done, move, zoomed] = [arguments[2], arguments[0], arguments[1]], v = page.view, painting = [], frames = [];
const act = new Function("v", "i", move);
(async () => {
  if (!zoomed) { v.look(v.around()); await new Promise((go) => setTimeout(go, 300)); }
  let last = performance.now();
  for (let i = 0; i < 90; i++) {
    act(v, i);
    await new Promise(requestAnimationFrame); await new Promise((go) => setTimeout(go, 0));
    painting.push(v.painted); frames.push(performance.now() - last); last = performance.now();
  }
  const at = (list, share) => list.sort((a, b) => a - b)[Math.floor(list.length * share)];
  done([at(painting, 0.5), at(painting, 0.95), at(frames, 0.5), at(frames, 0.95)]);
})();
"""


def model(n: int, size: int = 100) -> embedkit.Embeddings:
    """Return n tokens in a thousand groups."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((1000, size), dtype=np.float32)
    vectors = centres[rng.integers(0, 1000, n)] + 0.6 * rng.standard_normal((n, size), dtype=np.float32)
    return embedkit.Embeddings([f"item {i}" for i in range(n)], vectors, counts=np.arange(n, 0, -1))


def page(n: int, method: Method, path: Path) -> list[str]:
    """Write the page of n points; return what it took, in cells of a table."""
    embeddings = model(n)
    began = time.perf_counter()
    neighbours = nearest(embeddings.vectors, 10)
    between = time.perf_counter()
    groups = clusters(embeddings.vectors, embeddings.tokens, 8)
    drawn = make_map(embeddings, groups=groups, method=method)
    write_page(drawn, neighbours, path, "Benchmark")
    ended = time.perf_counter()
    return [f"{n:,}", f"{path.stat().st_size / 1e6:.2f} MB", f"{between - began:.1f} s", f"{ended - between:.1f} s"]


def frames(path: Path, profile: str) -> list[list[str]]:
    """Open the page and return the times of its frames, in cells of a table."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        browser.set_script_timeout(120)
        browser.get(path.as_uri())
        while not browser.execute_script("return document.documentElement.dataset.ready"):
            time.sleep(0.05)
        ready = browser.execute_script("return performance.now()")
        rows = [["ready", f"{ready:.0f}", "", "", ""]]
        for name, move in MOVES.items():
            times = browser.execute_async_script(MEASURE, move, "zoomed" in name)
            rows.append([name, *(f"{value:.1f}" for value in times)])
        return rows
    finally:
        browser.quit()


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--points", type=int, action="append")
    options.add_argument("--method", choices=["pca", "tsne", "umap"], default="pca")
    given = options.parse_args()
    print(f"Load: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for n in given.points or [20_000, 100_000]:
            path = Path(folder, f"{n}.html")
            print(markdown(["points", "file", "neighbours", f"{given.method} and page"], [page(n, given.method, path)]))
            header = ["milliseconds", "painting, median", "95%", "frame, median", "95%"]
            print(markdown(header, frames(path, tempfile.mkdtemp(dir=folder))), end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
