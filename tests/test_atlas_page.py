"""The page of a map: what its file holds, and, in a real browser, that it shows it and nothing of it runs."""

import base64
import dataclasses
import hashlib
import html
import json
import re
import time
import zlib

import numpy as np
import pytest
from atlas_maps import HOSTILE, embeddings, small_map
from conftest import needs

from embedkit.atlas import nearest, write_page
from embedkit.atlas.page import page


def made(title="A map", **options):
    model = embeddings()
    drawn = small_map(model, **options)
    return drawn, nearest(model.vectors[drawn.ids], 5), title


def data_of(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def unpacked(part):
    kind = np.dtype(part["kind"])
    planes = np.frombuffer(zlib.decompress(base64.b64decode(part["deflate"])), np.uint8).reshape(kind.itemsize, -1)
    return np.ascontiguousarray(planes.T).view(kind.newbyteorder("<")).ravel()


def test_the_data_are_the_map():
    drawn, neighbours, title = made()
    data = data_of(page(drawn, neighbours, title))
    facts = json.loads(zlib.decompress(base64.b64decode(data["text"]["deflate"])))
    assert facts["tokens"] == list(drawn.tokens)
    assert facts["labels"] == list(drawn.labels)
    assert facts["names"] == list(drawn.groups.names)
    assert [key["key"] for key in facts["keys"]] == ["user1", HOSTILE]
    assert facts["keys"][0]["history"] == list(drawn.trails[0].history)
    np.testing.assert_array_equal(unpacked(data["neighbours"]).reshape(neighbours.ids.shape), neighbours.ids)
    np.testing.assert_array_equal(unpacked(data["groups"]), drawn.groups.ids)
    cosines = np.cumsum(unpacked(data["cosines"]).reshape(neighbours.ids.shape), axis=1) / 100
    np.testing.assert_allclose(cosines, neighbours.cosines, atol=0.0051)
    low, span = drawn.places.min(axis=0), np.ptp(drawn.places, axis=0)
    for axis, name in enumerate("xy"):
        places = unpacked(data[name]) / 65_535 * span[axis] + low[axis]
        np.testing.assert_allclose(places, drawn.places[:, axis], atol=span[axis] / 65_535)


def test_places_that_hardly_differ_are_told_apart():
    drawn, neighbours, title = made()
    near = dataclasses.replace(drawn, places=drawn.places * np.float32(1e-35))
    data = data_of(page(near, neighbours, title))
    for name, places in zip("xy", near.places.T, strict=True):
        finest = unpacked(data[name])
        assert (finest.min(), finest.max()) == (0, 65_535)
        assert places.argmax() == finest.argmax()


def test_nothing_of_strangers_is_markup_and_nothing_is_fetched():
    text = page(*made(title=HOSTILE))
    outside = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
    assert HOSTILE not in text
    assert outside.count(html.escape(HOSTILE)) == 2
    assert "<img" not in text
    own = text.replace(html.escape(HOSTILE), "")
    ways_out = r"(src|href)\s*=|url\(|https?:|@import|\bfetch\b|XMLHttpRequest|WebSocket|innerHTML|eval\("
    assert not re.search(ways_out, own)
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)


def test_the_policy_lets_its_own_script_and_style_run_alone():
    text = page(*made())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    script = re.search(r'<script type="module">(.*?)</script>', text, re.DOTALL)[1]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (script, style)]
    expected = f"default-src 'none'; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'; "
    assert policy == expected + "base-uri 'none'; form-action 'none'"


def test_a_page_without_groups_keys_or_neighbours_is_whole():
    drawn = small_map(embeddings(9), keys=(), n_clusters=0)
    data = data_of(page(drawn, nearest(embeddings(9).vectors, 0), "t"))
    assert len(unpacked(data["neighbours"])) == 0
    assert set(unpacked(data["groups"])) == {255}


FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --lang=en-US --window-size=1100,800"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    needs("selenium", programs=("chromium", "chromedriver"))
    import shutil

    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def until(browser, script, *arguments):
    """Wait until a script gives something true, and return that."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if found := browser.execute_script(f"return {script}", *arguments):
            return found
        time.sleep(0.05)
    raise AssertionError(f"not in time: {script}")


@pytest.fixture
def opened(browser, tmp_path):
    """Open a map from its file; whatever happens, the browser's console stays empty."""

    def open_(**options):
        drawn, neighbours, title = made(**options)
        write_page(drawn, neighbours, tmp_path / "map.html", title)
        browser.get((tmp_path / "map.html").as_uri())
        until(browser, "document.documentElement.dataset.ready && page.view.painted")
        return drawn, neighbours

    yield open_
    assert browser.get_log("browser") == []


def about(browser):
    return browser.execute_script("return document.getElementById('about').innerText").splitlines()


@pytest.mark.slow
def test_the_page_draws_points_in_their_colours(browser, opened):
    opened(keys=(), n_clusters=4)
    count = """
        const v = page.view, d = v.context.getImageData(0, 0, v.canvas.width, v.canvas.height).data, seen = {};
        for (let k = 0; k < d.length; k += 4) {
          const c = `${d[k] >> 4},${d[k + 1] >> 4},${d[k + 2] >> 4}`; seen[c] = (seen[c] ?? 0) + 1; }
        return seen"""
    seen = browser.execute_script(count)
    assert len(seen) > 8
    assert max(seen, key=seen.get) == "15,15,15"


@pytest.mark.slow
def test_hovering_shows_true_neighbours_and_leaving_takes_them_away(browser, opened):
    from selenium.webdriver import ActionChains

    drawn, neighbours = opened(keys=())
    x, y = browser.execute_script("return page.view.place(12)")
    canvas = browser.find_element("id", "map")
    width, height = canvas.size["width"], canvas.size["height"]
    ActionChains(browser).move_to_element_with_offset(canvas, round(x - width / 2), round(y - height / 2)).perform()
    i = until(browser, "page.view.hovered >= 0 && [page.view.hovered]")[0]
    lines = about(browser)
    assert lines[0] == drawn.labels[i]
    assert drawn.labels[neighbours.ids[i, 0]] in lines
    assert f"{neighbours.cosines[i, 0]:.2f}" in lines
    assert browser.execute_script("return page.view.marks.near") == neighbours.ids[i].tolist()
    ActionChains(browser).move_to_element(browser.find_element("tag name", "header")).perform()
    until(browser, "page.view.hovered < 0")
    assert about(browser)[0].startswith("Point at something")


@pytest.mark.slow
def test_search_finds_by_key_alone_and_shows_strange_names_as_text(browser, opened):
    from selenium.webdriver import Keys

    drawn, _ = opened(keys=(), title=HOSTILE)
    body = browser.find_element("tag name", "body")
    body.send_keys("/")
    field = browser.switch_to.active_element
    assert field.get_attribute("id") == "search"
    field.send_keys("</SCRIPT")
    until(browser, "document.querySelectorAll('#found li').length === 1")
    field.send_keys(Keys.ENTER)
    assert about(browser)[0] == HOSTILE
    assert browser.execute_script("return page.chosen") == drawn.tokens.index(HOSTILE)
    field.clear()
    field.send_keys("thing 1")
    until(browser, "document.querySelectorAll('#found li').length > 3")
    field.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    assert about(browser)[0].startswith("Thing 1")
    field.clear()
    field.send_keys("nothing like it")
    until(browser, "document.getElementById('found').innerText === 'Nothing found'")
    assert browser.title == HOSTILE
    assert browser.execute_script("return document.images.length") == 0


@pytest.mark.slow
def test_keys_pan_zoom_choose_and_drop(browser, opened):
    from selenium.webdriver import Keys

    opened(keys=())
    canvas = browser.find_element("id", "map")
    browser.execute_script("document.getElementById('map').focus()")
    before = browser.execute_script("return page.view.camera")
    canvas = browser.switch_to.active_element
    canvas.send_keys("+", Keys.ARROW_RIGHT)
    after = browser.execute_script("return page.view.camera")
    assert after["scale"] > before["scale"] * 1.3
    assert after["x"] > before["x"]
    canvas.send_keys(Keys.ENTER)
    assert browser.execute_script("return page.chosen") >= 0
    canvas.send_keys(Keys.ESCAPE, "0")
    assert browser.execute_script("return page.chosen") == -1
    until(browser, "Math.abs(page.view.camera.scale / arguments[0] - 1) < 1e-9", before["scale"])


@pytest.mark.slow
def test_a_keys_history_and_recommendations_are_drawn(browser, opened):
    drawn, _ = opened()
    lines = about(browser)
    assert lines[0] == "user1"
    assert lines[2:5] == [drawn.labels[i] for i in drawn.trails[0].recommended]
    paths = browser.execute_script("return page.view.marks.paths.map((path) => path.points)")
    assert paths == [list(drawn.trails[0].history), list(drawn.trails[0].recommended)]
    choose = "const s = document.getElementById('key'); s.value = '1'; s.dispatchEvent(new Event('change'))"
    browser.execute_script(choose)
    assert about(browser)[0] == HOSTILE


@pytest.mark.slow
def test_two_fingers_zoom_and_one_pans_and_taps(browser, opened):
    opened(keys=())
    finger = """
        const fire = (name, id, x, y) => page.view.canvas.dispatchEvent(new PointerEvent(name,
          { pointerId: id, pointerType: "touch", clientX: x, clientY: y + 60, bubbles: true, isPrimary: id === 1 }));
        page.view.canvas.setPointerCapture = () => {};"""
    before = browser.execute_script("return page.view.camera")
    pinch = """
        fire("pointerdown", 1, 300, 300); fire("pointerdown", 2, 400, 300);
        fire("pointermove", 2, 500, 300); fire("pointerup", 1, 300, 300); fire("pointerup", 2, 500, 300);
        return page.view.camera"""
    after = browser.execute_script(finger + pinch)
    assert after["scale"] == pytest.approx(2 * before["scale"])
    pan = 'fire("pointerdown", 1, 300, 300); fire("pointermove", 1, 250, 300); fire("pointerup", 1, 250, 300);'
    panned = browser.execute_script(f"{finger}{pan} return page.view.camera")
    assert panned["x"] == pytest.approx(after["x"] + 50 / after["scale"])
    assert browser.execute_script("return page.chosen") == -1
    tap = """
        page.view.look(page.view.around());
        const box = page.view.canvas.getBoundingClientRect(), [x, y] = page.view.place(5);
        for (const name of ["pointerdown", "pointerup"]) fire(name, 1, x + box.x, y + box.y - 60);
        return page.chosen"""
    assert browser.execute_script(finger + tap) >= 0


@pytest.mark.slow
def test_a_group_can_be_looked_at_alone_and_a_narrow_window_shows_all_parts(browser, opened):
    opened(keys=())
    browser.execute_script("document.querySelectorAll('#legend button')[1].click()")
    assert browser.execute_script("return page.view.lit") == 1
    assert browser.execute_script("return document.querySelectorAll('#legend [aria-pressed=true]').length") == 1
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 700, "deviceScaleFactor": 2, "mobile": True}
    )
    try:
        until(browser, "innerWidth === 360 && page.view.width === 360")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        assert browser.execute_script("return page.view.height") > 250
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
