"""How soon the page of a running server is of use: `python benchmarks/page.py http://127.0.0.1:8000`.

Each run is a new browser with an empty profile. Printed are milliseconds: from the request for the page to the first
paint and to the first useful view (names to click on); from the last key of a search to the matches, which includes the
pause of 110 that a search waits for another key.
"""

import argparse
import shutil
import statistics
import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
WATCH = """
new MutationObserver(() => {
  if (!window.useful && document.querySelector(".chip")) window.useful = performance.now();
  if (!window.matched && document.querySelector("[role=option] mark")) window.matched = performance.now();
}).observe(document, {childList: true, subtree: true});
addEventListener("keydown", () => (window.pressed = performance.now()), true);
"""


def main():
    """Print medians, and from what to what."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--text", default="a", help="what to search for")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    for width in (1280, 360):
        rows = [measure(asked.address, asked.text, width) for _ in range(asked.runs)]
        for name, times in zip(("first paint", "first useful view", "search"), zip(*rows, strict=True), strict=True):
            print(f"{width:>5} px  {name:<18} {statistics.median(times):4.0f}  ({min(times):.0f} to {max(times):.0f})")


def measure(address, text, width):
    """Return the three times of one new browser."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as profile:
        for flag in [*FLAGS, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        browser = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        try:
            size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
            browser.get(address)
            wait = WebDriverWait(browser, 30)
            wait.until(lambda _: browser.execute_script("return window.useful"))
            browser.find_element(By.CSS_SELECTOR, "[role=combobox]").send_keys(text)
            wait.until(lambda _: browser.execute_script("return window.matched"))
            paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
            return browser.execute_script(f"return [{paint}, window.useful, window.matched - window.pressed]")
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
