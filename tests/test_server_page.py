"""The page of `embedkit serve` in a real browser: every view, wide and narrow, English and Korean, light and dark."""

import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client", "selenium", "axe_playwright_python")
needs(programs=("chromium", "chromedriver"))

from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select
from server_browser import Page, serving

import embedkit

pytestmark = pytest.mark.slow
TOKEN = "correct-horse-battery"
HEADINGS = {"en": "Neighbours", "ko": "이웃"}
OTHER = {"en": "ko", "ko": "en"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def sessions(folder):
    embedkit.train("sessions", trainer="spectral").save(folder / "sessions.safetensors")
    with serving(folder / "sessions.safetensors") as address:
        yield address


@pytest.fixture(scope="module")
def words(folder):
    embedkit.train("text", epochs=2, vector_size=32).save(folder / "words.safetensors")
    with serving(folder / "words.safetensors") as address:
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


VIEWS = [
    "#/", "#/constructor", "#/similar", "#/similar/neon-pulse",
    "#/analogy", "#/analogy/neon-pulse/neon-loop/tender-letter",
    "#/recommend", "#/recommend/user42", "#/recommend/user42?drop=rainy-letter&add=neon-pulse", "#/recommend/nobody",
    "#/map", "#/map/neon-pulse", "#/map?key=user42",
]  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_is_accessible_and_fits(page, sessions, theme):
    """In the dark the other language is spoken, so that each width is seen with both."""
    language = page.language if theme == "light" else OTHER[page.language]
    page.theme(theme)
    page.open(sessions)
    page.run("localStorage.setItem('embedkit.language', arguments[0])", language)
    for view in VIEWS:
        page.open(f"{sessions}/{view}")
        page.wait("h1")
        page.settled()
        assert page.violations() == [], view
        assert page.fits(), view
        assert page.run("document.documentElement.lang") == language
        assert page.errors() == [], view
    page.run("localStorage.clear()")


def test_the_first_view_needs_few_requests_and_no_other_host(page, sessions):
    page.open(f"{sessions}/")
    page.wait(".chip", 8)
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    requests = "performance.getEntriesByType('resource').map((each) => new URL(each.name).origin)"
    assert page.run(paint) > 0
    assert set(page.run(requests)) == {sessions}
    assert page.run("performance.getEntriesByType('resource').length") < 40


def test_searching_as_one_types_leads_to_neighbours_and_to_users(page, sessions):
    page.open(f"{sessions}/")
    page.click("[role=combobox]")
    page.wait("[role=option]")
    page.press("neon")
    page.until(lambda: {"Neon"} == set(page.texts("[role=option] mark")), "matches")
    assert page.all("[role=combobox]")[0].get_attribute("aria-expanded") == "true"
    assert page.violations() == []
    page.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    active = page.focused().get_attribute("aria-activedescendant")
    assert page.texts("[role=option][aria-selected=true] .title") == ["Neon Pulse (techno record)"]
    assert page.all(f"#{active}")[0].get_attribute("aria-selected") == "true"
    page.press(Keys.ENTER)
    page.at("#/similar/neon-pulse")
    page.wait(".result", 10)
    assert page.focused().text == HEADINGS[page.language]
    page.open(f"{sessions}/")
    page.choose(page.wait("[role=combobox]"), "user42")
    page.at("#/recommend/user42")


def test_escape_closes_the_list_then_empties_the_field(page, sessions):
    page.open(f"{sessions}/#/similar")
    field = page.wait("[role=combobox]")
    field.click()
    field.send_keys("neon")
    page.until(lambda: page.texts("[role=option] mark"), "matches")
    field.send_keys(Keys.ESCAPE)
    assert field.get_attribute("aria-expanded") == "false"
    assert field.get_attribute("value") == "neon"
    field.send_keys(Keys.ESCAPE)
    assert field.get_attribute("value") == ""
    field.send_keys("qqqq")
    page.until(lambda: page.all(".options.none")[0].is_displayed(), "nothing found")


def test_enter_takes_the_first_match_without_waiting_for_the_list(page, sessions):
    page.open(f"{sessions}/#/similar")
    page.click("[role=combobox]")
    page.press("dragon's swo" + Keys.ENTER)
    page.at("#/similar/dragons-sword")


def test_neighbours_lead_to_neighbours_and_more_of_them(page, sessions):
    page.open(f"{sessions}/#/similar/neon-pulse")
    page.wait(".result", 10)
    assert page.texts(".result .title")[0] == "Binary Pulse (techno record)"
    assert page.texts("h2 strong") == ["Neon Pulse (techno record)"]
    shares = [float(each.get_attribute("style").split(":")[1].strip(" ;")) for each in page.all(".result")]
    assert shares == sorted(shares, reverse=True)
    assert 0.5 < shares[0] < 1
    page.click("button.more")
    page.wait(".result", 30)
    page.click(".result a")
    page.at("#/similar/binary-pulse")
    page.until(lambda: page.texts("h2 strong") == ["Binary Pulse (techno record)"], "heading")
    page.browser.back()
    page.at("#/similar/neon-pulse")


def test_analogies(page, words):
    page.open(f"{words}/#/analogy")
    fields = page.wait("[role=combobox]", 3) and page.all("[role=combobox]")
    for field, word in zip(fields, ["man", "king", "woman"], strict=True):
        page.choose(field, word)
    page.at("#/analogy/man/king/woman")
    page.wait(".result", 10)
    assert "king" in page.texts("h2")[0]
    assert not {"man", "king", "woman"} & set(page.texts(".result .title"))


def test_korean_is_found_as_it_is_typed(page, words):
    page.open(f"{words}/#/similar")
    page.click("[role=combobox]")
    composed = {"text": "서우", "selectionStart": 2, "selectionEnd": 2}
    page.command("Input.imeSetComposition", **composed)
    page.until(lambda: page.all(".options.none")[0].is_displayed(), "no word begins with half a syllable")
    page.command("Input.insertText", text="서울")
    page.until(lambda: page.texts("[role=option] mark") == ["서울"], "the word")
    page.press(Keys.ENTER)
    page.at("#/similar/%EC%84%9C%EC%9A%B8")
    page.wait(".result", 10)


def test_words_are_called_words(page, words):
    page.open(words)
    page.wait(".chip", 2)
    assert {"en": " words as vectors", "ko": "단어 "}[page.language] in page.run("document.body.textContent")
    assert {"en": "item", "ko": "항목"}[page.language] not in page.run("document.querySelector('main').textContent")


def test_words_have_no_recommendations(page, words):
    page.open(f"{words}/#/recommend/x")
    page.wait(".note")
    assert len(page.all("nav a")) == 3
    assert not page.all("[role=combobox]")


def test_recommendations_say_why(page, sessions):
    page.open(f"{sessions}/#/recommend/user42")
    page.wait(".result", 10)
    summary = page.all(".why summary")[0]
    assert "Blushing Wedding" in summary.text
    summary.send_keys(Keys.ENTER)
    page.until(lambda: page.all(".why[open] li .score"), "reasons")
    history = {each.get_attribute("data-token") for each in page.all(".history li")}
    lit = page.run(
        "[...document.querySelectorAll('.history li')].filter((e) => e.style.length).map((e) => e.dataset.token)"
    )
    assert lit
    assert set(lit) <= history


def test_dropping_and_adding_items_changes_the_recommendations(page, sessions):
    page.open(f"{sessions}/#/recommend/user42")
    page.wait(".result", 10)
    before = page.texts(".result > .what .title")
    dropped = page.all(".history li")[0].get_attribute("data-token")
    page.settled()
    page.all(".history .round")[0].send_keys(Keys.ENTER)
    page.at(f"#/recommend/user42?drop={dropped}")
    page.until(lambda: page.texts(".badge"), "what has changed")
    assert dropped not in [each.get_attribute("data-token") for each in page.all(".history li")]
    assert page.focused().get_attribute("class") == "round"
    assert page.texts(".result > .what .title") != before
    page.choose(page.all(".panel [role=combobox]")[0], "Neon Pulse")
    page.at(f"#/recommend/user42?add=neon-pulse&drop={dropped}")
    page.until(lambda: page.texts(".history .badge.new"), "the added item")
    assert "Neon Pulse" in page.texts(".history .title")[0]
    page.until(lambda: "Neon Pulse" in page.texts("[role=status]")[0], "told to who does not see it")
    page.click(".edited button")
    page.at("#/recommend/user42")
    page.until(lambda: page.texts(".result > .what .title") == before, "as before")


def test_a_recommendation_is_added_to_an_empty_history_and_everything_dropped(page, sessions):
    page.open(f"{sessions}/#/recommend?add=neon-pulse")
    page.wait(".result", 10)
    page.click(".result button")
    page.until(lambda: len(page.all(".history li")) == 2, "two items")
    for _ in range(2):
        page.click(".history .round")
    page.at("#/recommend")
    page.until(lambda: not page.all(".result"), "nothing to go by")
    page.wait(".note")


def test_seen_items_are_recommended_on_demand(page, sessions):
    page.open(f"{sessions}/#/recommend/user42")
    page.wait(".result", 10)
    seen = {each.get_attribute("data-token") for each in page.all(".history li")}
    page.click("#seen")
    page.at("#/recommend/user42?seen=1")
    tokens = (
        "[...document.querySelectorAll('.result .what .title')].map((e) => decodeURIComponent(e.hash.split('/')[2]))"
    )
    page.until(lambda: seen & set(page.run(tokens)), "seen items")


def test_an_unknown_user_gets_what_is_frequent(page, sessions):
    page.open(f"{sessions}/#/recommend/nobody")
    page.wait(".result", 10)
    assert page.texts(".note")
    assert page.texts(".result .title")[0] == "Neon Pulse (techno record)"


def test_the_map_is_drawn_and_leads_to_neighbours(page, sessions):
    page.open(f"{sessions}/#/map")
    canvas = page.wait("canvas")
    page.settled()
    colours = (
        "new Set(document.querySelector('canvas').getContext('2d')"
        ".getImageData(0, 0, arguments[0], 300).data.filter((_, i) => i % 4 === 1)).size"
    )
    page.until(lambda: page.run(colours, 300) > 2, "points")
    page.choose(page.all("[role=combobox]")[0], "Neon Pulse")
    page.at("#/map/neon-pulse")
    page.wait(".side .result", 10)
    for button in page.all(".zoom button"):
        button.click()
    page.click(".groups button")
    assert len(page.all(".groups [aria-pressed=true]")) == 1
    page.click(".groups button")
    assert not page.all(".groups [aria-pressed=true]")
    canvas.send_keys(Keys.ARROW_LEFT, "+", "-", "0")
    page.click(".side .result a")
    page.at("#/map/binary-pulse")


def test_a_users_history_and_recommendations_on_the_map(page, sessions):
    page.open(f"{sessions}/#/recommend/user42")
    page.click(".heading .links a")
    page.at("#/map?key=user42")
    page.wait(".legend")
    page.wait(".side .result", 10)
    page.click(".side .links a")
    page.at("#/recommend/user42")


def test_the_language_is_switched_and_remembered(page, sessions):
    other = OTHER[page.language]
    page.open(f"{sessions}/#/similar/neon-pulse")
    page.wait(".result", 10)
    Select(page.all(".languages select")[0]).select_by_value(other)
    page.until(lambda: page.texts("h1") == [HEADINGS[other]], "the other language")
    assert page.run("document.documentElement.lang") == other
    assert page.focused().tag_name == "select"
    page.open(f"{sessions}/#/similar/neon-pulse")
    page.until(lambda: page.texts("h1") == [HEADINGS[other]], "remembered")
    page.run("localStorage.clear()")


def test_the_keyboard_alone_reaches_everything(page, sessions):
    page.open(f"{sessions}/#/similar/neon-pulse")
    page.wait(".result", 10)
    page.press(Keys.TAB)
    assert page.focused().get_attribute("class") == "skip"
    assert page.run("document.activeElement.getBoundingClientRect().top") >= 0
    page.press(Keys.ENTER)
    assert page.focused().tag_name == "h1"
    page.press(Keys.TAB)
    assert page.focused().get_attribute("role") == "combobox"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.run(outline) == "solid"
    page.press(Keys.TAB, Keys.TAB, Keys.TAB)
    assert page.focused().text == "Binary Pulse (techno record)"
    assert page.run(outline) == "solid"


def test_an_unknown_item_is_told_in_one_line(page, sessions):
    page.open(f"{sessions}/#/similar/nonsense")
    page.wait(".failure")
    assert "nonsense" in page.texts(".failure p")[0]
    assert not page.all(".failure button")
    assert all("404" in each for each in page.errors())


def test_an_unknown_item_in_a_history_can_be_dropped(page, sessions):
    page.open(f"{sessions}/#/recommend/user42?add=nonsense")
    page.wait(".failure")
    page.wait(".history li", 2)
    assert page.texts(".history .title")[0] == "nonsense"
    page.click(".history .round")
    page.at("#/recommend/user42")
    page.wait(".result", 10)
    assert all("404" in each for each in page.errors())


def test_a_server_that_is_down_is_told_and_asked_again(page, sessions):
    page.open(f"{sessions}/#/similar")
    page.wait(".chip", 8)
    page.command("Network.enable")
    page.command(
        "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )
    page.click(".chip")
    page.wait(".failure button")
    page.command(
        "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )
    page.click(".failure button")
    page.wait(".result", 10)
    assert all("ERR_INTERNET_DISCONNECTED" in each for each in page.errors())


def test_the_page_asks_for_the_token_once(page, folder, words):
    path = folder / f"token-{page.width}-{page.language}"
    path.write_text(TOKEN)
    with serving(folder / "words.safetensors", "--token-file", str(path)) as address:
        page.open(f"{address}/#/similar/king")
        page.wait("dialog[open]")
        assert page.violations() == []
        assert page.fits()
        page.press(Keys.ESCAPE, Keys.ESCAPE)
        page.wait("dialog[open]")
        page.press("a wrong one" + Keys.ENTER)
        page.until(lambda: page.texts(".wrong") != [""], "refused: no token has a space")
        page.press("-but-a-possible-one")
        page.run("document.activeElement.value = 'wrong'")
        page.press(Keys.ENTER)
        page.until(lambda: page.texts(".wrong") != [""] and page.focused().get_attribute("value") == "", "refused")
        page.press(TOKEN + Keys.ENTER)
        page.wait(".result", 10)
        page.browser.refresh()
        page.wait(".result", 10)
        assert not page.all("dialog")
        assert page.run("localStorage.length") == 0
        assert page.run("sessionStorage.getItem('embedkit.token')") == TOKEN
