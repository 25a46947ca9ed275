"""The page of `embedkit serve` with names that would like to be more than text."""

import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client", "selenium", "axe_playwright_python")
needs(programs=("chromium", "chromedriver"))

import numpy as np
from server_browser import Page, serving

import embedkit
from embedkit.contracts import History

pytestmark = pytest.mark.slow
STRANGE = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def strangers(folder):
    """Names that would like to be markup, are very long, run from right to left or hold what an address may not."""
    tokens = ["a/b?c#d%", STRANGE, "w" * 300, "مرحبا", "한국어", "plain"]
    vectors = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    histories = History(np.array([0, 3, 5]), np.array([0, 1, 2, 3, 4], np.int32))
    labels = ["Slash / and % #", STRANGE, "Long " * 60, "مرحبا (1)", "한국어 이름", "Plain"]
    model = embedkit.Embeddings(
        tokens, vectors, counts=np.arange(6, 0, -1), labels=labels, keys=[STRANGE, "u/1"], histories=histories
    )
    model.save(folder / "strangers.safetensors")
    with serving(folder / "strangers.safetensors") as address:
        yield address


@pytest.fixture(
    scope="module",
    params=[(1280, "en"), (360, "ko")],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def browser(request, tmp_path_factory):
    page = Page(*request.param, tmp_path_factory.mktemp("profile"))
    yield page
    page.browser.quit()


@pytest.fixture
def page(browser):
    browser.theme("light")
    browser.open("about:blank")
    browser.errors()
    yield browser
    if not browser.run("location.href").startswith(("http:", "about:")):
        browser.open("about:blank")
    assert browser.errors() == []


def test_names_of_strangers_stay_text(page, strangers):
    page.open(f"{strangers}/#/recommend")
    page.wait(".chip", 2)
    page.click(".chip")
    page.wait(".result", 3)
    for view in ["#/", "#/similar/plain", "#/map/plain", "#/analogy/plain/%ED%95%9C%EA%B5%AD%EC%96%B4/plain"]:
        page.open(f"{strangers}/{view}")
        page.wait("h1")
        page.settled()
        assert page.fits(), view
        assert page.run("document.title") != "1"
        assert not page.all("img[onerror]")
        assert page.violations() == [], view
    page.open(f"{strangers}/#/similar/plain")
    page.wait(".result", 5)
    assert STRANGE in page.texts(".result .title")
    link = next(each for each in page.all(".result a") if each.text.startswith("Slash"))
    link.click()
    page.at("#/similar/a%2Fb%3Fc%23d%25")
    page.until(lambda: page.texts("h2 strong") == ["Slash / and % #"], "its neighbours")
