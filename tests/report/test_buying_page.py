"""The buyer's page in a real browser, with hostile names and at the width of a phone."""

from pathlib import Path
from typing import Any

import pytest
from report.test_browser import CHROMIUM, DRIVER, browser, show
from report.test_page import HOSTILE
from selenium.webdriver.common.by import By

from specbench import buying, datafiles
from specbench.planning.pricelist import price_list
from specbench.report.buying import charts, page

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no browser here: apt-get install chromium chromium-driver"
)
__all__ = ["browser"]  # the fixture


def bought(name: str | None = None) -> buying.Buying:
    text = (datafiles.path("prices") / "example.toml").read_text(encoding="utf-8")
    if name is not None:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\x1b", "\\u001b")
        text = text.replace('"RTX 4090, used"', f'"{quoted}"').replace("insiderllm.com", quoted)
    listed = price_list("list", text)
    mix = {"code": 0.6, "rag-long": 0.3, "chat": 0.1}
    return buying.buy("Qwen3.6-27B:Q4_K_M", listed, budget=2500, mix=mix, context=32768, runs=(), tau_from=None)


def test_the_table_is_sorted_by_a_click_and_nothing_is_loaded(browser: Any, tmp_path: Path) -> None:
    show(browser, page([bought()]), tmp_path / "buying.html")
    head = browser.find_element(By.CSS_SELECTOR, "table.figures thead th:nth-child(5)")
    assert head.text.startswith("to pay")
    head.find_element(By.TAG_NAME, "button").click()
    cells = browser.find_elements(By.CSS_SELECTOR, "table.figures tbody td:nth-child(5)")
    paid = [float(cell.text) for cell in cells[: len(bought().offers)]]
    assert paid == sorted(paid, reverse=True)
    assert "EXAMPLE PRICES" in browser.find_element(By.CSS_SELECTOR, "p.alarm").text
    assert browser.get_log("browser") == []


def test_hostile_names_do_nothing_and_a_phone_shows_all_of_it(browser: Any, tmp_path: Path) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    show(browser, page([bought(HOSTILE)]), tmp_path / "hostile.html")
    assert browser.execute_script("return [window.hacked, document.documentElement.scrollWidth]") == [None, 390]
    assert browser.find_elements(By.CSS_SELECTOR, "main script, main img") == []
    assert browser.get_log("browser") == []


def test_the_line_of_what_nothing_beats_holds_no_machine_that_another_beats() -> None:
    for chart in charts(bought()):
        points = [series.points[0] for series in chart.series if len(series.points) == 1]
        (line,) = (series.points for series in chart.series if len(series.points) > 1)
        unbeaten = {(x, y) for x, y in points if not any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)}
        assert set(line) == unbeaten
        assert "EXAMPLE PRICES" in chart.title
