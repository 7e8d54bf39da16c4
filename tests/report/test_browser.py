"""The page in a real browser: Debian's chromium and chromium-driver, where they are installed."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report.test_page import HOSTILE, written
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no browser here: apt-get install chromium chromium-driver"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1280,1000"):
        options.add_argument(argument)
    options.binary_location = CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield opened
    opened.quit()


def show(browser: Any, text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
    browser.get(path.as_uri())


def column(browser: Any, number: int) -> list[str]:
    rows = browser.find_elements(By.CSS_SELECTOR, "table.figures tbody tr")
    return [row.find_elements(By.TAG_NAME, "td")[number].text for row in rows if row.is_displayed()]


def test_tables_are_sorted_and_filtered_by_clicks(browser: Any, tmp_path: Path) -> None:
    show(browser, written(), tmp_path / "page.html")
    heads = browser.find_elements(By.CSS_SELECTOR, "table.figures thead th")
    decode = next(i for i, head in enumerate(heads) if head.text.startswith("decode"))
    heads[decode].find_element(By.TAG_NAME, "button").click()
    falling = [float(text) for text in column(browser, decode)]
    assert falling == sorted(falling, reverse=True)
    assert heads[decode].get_attribute("aria-sort") == "descending"
    heads[decode].find_element(By.TAG_NAME, "button").click()
    assert [float(text) for text in column(browser, decode)] == falling[::-1]
    Select(browser.find_element(By.CSS_SELECTOR, "select[data-column='1']")).select_by_visible_text("ngram-mod")
    assert set(column(browser, 1)) == {"ngram-mod"}
    Select(browser.find_element(By.CSS_SELECTOR, "select[data-column='0']")).select_by_visible_text("code")
    assert column(browser, 0) == ["code"]
    assert browser.find_element(By.ID, "counter").text == "1 rows"
    assert browser.get_log("browser") == []


def test_hostile_names_do_nothing_and_the_policy_holds(browser: Any, tmp_path: Path) -> None:
    show(browser, written(HOSTILE, text=HOSTILE), tmp_path / "page.html")
    assert browser.execute_script("return window.hacked === undefined")
    assert browser.get_log("browser") == []
    browser.execute_script(
        "const s = document.createElement('script'); s.text = 'window.hacked = 1'; document.body.append(s)"
    )
    assert browser.execute_script("return window.hacked === undefined"), "the policy allows a script of somebody else"


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_does_not_scroll_sideways(browser: Any, tmp_path: Path, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700},
    )
    show(browser, written(), tmp_path / "page.html")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
