"""A served model and a real browser that looks at it."""

import importlib.util
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client", "selenium", "axe_playwright_python")
needs(programs=("chromium", "chromedriver"))

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

# Of that package the file of axe-core is used alone, so that Playwright itself need not be installed.
AXE = Path(importlib.util.find_spec("axe_playwright_python").origin).with_name("axe.min.js").read_text("utf-8")
PATIENCE = 60
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


@contextmanager
def serving(model, *more):
    command = [sys.executable, "-m", "embedkit", "serve", "--model", str(model), "--port", "0", *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8") as server:
        try:
            said = []
            for line in server.stderr:
                said.append(line)
                if found := re.search(r"http://[\d.]+:\d+", line):
                    yield found[0]
                    break
            else:
                pytest.fail("".join(said))
        finally:
            server.terminate()


class Page:
    """A browser with one window of a given width, in one language."""

    def __init__(self, width, language, profile):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in [*FLAGS, f"--user-data-dir={profile}", f"--lang={language}", f"--accept-lang={language}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.browser = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        self.width, self.language = width, language
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )

    def command(self, name, **parameters):
        return self.browser.execute_cdp_cmd(name, parameters)

    def theme(self, name):
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, address):
        self.browser.get("about:blank")
        self.browser.get(address)

    def run(self, script, *arguments):
        return self.browser.execute_script(f"return {script}", *arguments)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        return self.run("[...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)

    def until(self, condition, what):
        drawn_anew = (StaleElementReferenceException, IndexError)  # between two looks of a condition
        return WebDriverWait(self.browser, PATIENCE, 0.05, drawn_anew).until(lambda _: condition(), what)

    def wait(self, selector, n=1):
        return self.until(lambda: (found := self.all(selector)) and len(found) >= n and found, selector)[0]

    def at(self, hash_):
        self.until(lambda: self.run("location.hash") == hash_, f"{hash_}, not {self.run('location.hash')}")

    def settled(self):
        moving = "document.getAnimations().length"
        self.until(lambda: self.all("h1") and not self.all("[aria-busy]") and not self.run(moving), "settled")

    def focused(self):
        return self.browser.switch_to.active_element

    def press(self, *keys):
        for key in keys:
            self.focused().send_keys(key)

    def click(self, selector):
        self.settled()
        self.wait(selector).click()

    def choose(self, field, text):
        field.click()
        field.clear()
        field.send_keys(text)
        self.until(lambda: any(text in each for each in self.texts("[role=option] mark")), "options")
        field.send_keys(Keys.ARROW_DOWN, Keys.ENTER)

    def errors(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def violations(self):
        self.browser.execute_script(AXE)
        found = self.browser.execute_async_script("axe.run().then(arguments[0])")["violations"]
        return [(each["id"], each["impact"], [node["html"] for node in each["nodes"]]) for each in found]

    def fits(self):
        return self.run("Math.max(document.documentElement.scrollWidth, innerWidth)") <= self.width
