"""The page in real Chromium: no complaint and no request, sorting, filtering, sliding, hiding, keyboard, axe."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.made_runs import build, make_spec, realistic

from gan_bench.report.page.render import render_html
from gan_bench.report.report_data import report_data

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "</script><script>window.hacked=1</script><img src=//evil.example onerror=window.hacked=1>'\"{{x}}"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="CHROMIUM IS MISSING: the page is not tested in a browser"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="PLAYWRIGHT IS MISSING: the page is not tested")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    return written(folder, realistic(folder))


def written(folder: Path, runs: list[Any]) -> Path:
    file = folder / "index.html"
    file.write_text(render_html(report_data(runs), []))
    return file


class Opened:
    """A page in the browser, with what it asked for and complained about."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def draw_all(self) -> None:
        """Scroll through the page until every chart is drawn by the script."""
        for chart in self.page.query_selector_all(".chart"):
            chart.scroll_into_view_if_needed()
            self.page.wait_for_selector(f"#{chart.get_attribute('id')} .vega svg")


def wait_until(page: Any, reached: Callable[[], bool]) -> None:
    """Wait for a condition; the page's policy refuses expressions that the browser would evaluate."""
    for _ in range(100):
        if reached():
            return
        page.wait_for_timeout(50)
    pytest.fail("not reached within 5 seconds")


@pytest.fixture
def opened(browser: Any, path: Path) -> Iterator[Opened]:
    found = Opened(browser, path)
    yield found
    found.context.close()


def test_the_page_makes_no_request_and_no_complaint(opened: Opened, path: Path) -> None:
    opened.draw_all()
    assert opened.messages == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [path.as_uri()]


@pytest.mark.parametrize("width", [390, 900, 1440])
def test_the_page_is_never_wider_than_the_window(browser: Any, path: Path, width: int) -> None:
    opened = Opened(browser, path, viewport={"width": width, "height": 800})
    opened.draw_all()
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    for chart in opened.page.query_selector_all(".vega svg"):
        assert chart.bounding_box()["width"] <= width
    opened.context.close()


def test_headings_sort_the_leaderboard(opened: Opened) -> None:
    def models() -> list[str]:
        return opened.page.eval_on_selector_all(
            "#s1-board tbody th", "cells => cells.map(c => c.textContent.trim())"
        )

    first = models()
    opened.page.click("#s1-board thead th:nth-child(3) button")
    assert models() == first
    opened.page.click("#s1-board thead th:nth-child(3) button")
    assert models() == first[::-1]
    assert opened.page.get_attribute("#s1-board thead th:nth-child(3)", "aria-sort") == "descending"


def test_a_tile_sorts_the_leaderboard_by_its_column(opened: Opened) -> None:
    opened.page.click(".tiles a[data-column=recall]")
    sorted_by = opened.page.query_selector("#s1-board th[aria-sort]")
    assert "recall" in sorted_by.text_content().lower()


def test_runs_are_filtered_by_words_and_outcome(opened: Opened) -> None:
    page = opened.page
    page.fill("#filter input", "vanilla 2e-4")
    assert page.locator("#runs-table tbody tr:visible").count() == 4
    page.select_option("#filter select", "failed")
    assert page.locator("#runs-table tbody tr:visible").count() == 1
    assert page.text_content("#filter output") == "1 of 14 runs"


def test_the_slider_shows_other_epochs_and_their_scores(opened: Opened) -> None:
    page = opened.page
    picture = "#s1 .picture img[data-run]"
    last = page.get_attribute(picture, "src")
    page.focus("#s1 .player input")
    page.keyboard.press("Home")
    assert page.get_attribute(picture, "src") != last
    assert page.text_content("#s1 .player output") == "epoch 1 of 25"
    assert page.text_content("#s1 .picture:has(img[data-run]) .score") == "not scored yet"
    page.keyboard.press("End")
    assert page.get_attribute(picture, "src") == last
    assert page.text_content("#s1 .picture:has(img[data-run]) .score").startswith("FID ")


def test_play_runs_through_the_epochs_and_stops(opened: Opened) -> None:
    opened.page.click("#s1 .play")
    opened.page.wait_for_selector("#s1 .player output:text-is('epoch 10 of 25')")
    opened.page.wait_for_selector("#s1 .play[aria-pressed=false]")
    assert opened.page.text_content("#s1 .player output") == "epoch 25 of 25"


def test_a_grid_opens_its_other_epochs_by_keyboard(opened: Opened) -> None:
    page = opened.page
    page.focus("#s1 button.open")
    page.keyboard.press("Enter")
    assert page.is_visible("dialog")
    first = page.get_attribute("dialog img", "src")
    page.focus("dialog input[type=range]")
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("dialog img", "src") != first
    page.keyboard.press("Escape")
    assert not page.is_visible("dialog")


def test_a_model_is_hidden_and_hovered_points_say_their_values(opened: Opened) -> None:
    page = opened.page
    opened.draw_all()
    points = page.locator("#s1-chart-quality .mark-symbol path")
    before = points.count()
    points.first.hover(force=True)
    assert "seed" in page.text_content("#tip")
    page.click("#s1-quality .chip >> nth=0")
    wait_until(page, lambda: points.count() < before)
    assert page.get_attribute("#s1-losses .chip >> nth=0", "aria-pressed") == "false"


def test_grey_models_get_the_colors_of_others(browser: Any, tmp_path: Path) -> None:
    settings = [{"width": index, "note": "n" * 30} for index in range(1, 11)]
    runs = [build(tmp_path, make_spec(settings=own), pictures=False) for own in settings]
    opened = Opened(browser, written(tmp_path, runs))

    def swatches() -> list[str]:
        return opened.page.eval_on_selector_all(
            "#s1-quality .chip .swatch", "found => found.map(each => getComputedStyle(each).backgroundColor)"
        )

    before = swatches()
    assert len(before) == 10
    assert len(set(before[:8])) == 8
    assert before[8] == before[9]
    for index in (8, 9):
        opened.page.click(f"#s1-quality [data-color='{index}']")
    assert swatches() == [*before[:6], before[9], before[8], before[7], before[6]]
    opened.context.close()


def test_axes_are_switched_between_costs_and_to_logarithms(opened: Opened) -> None:
    page = opened.page
    opened.draw_all()
    page.select_option("#s1-quality select", "epoch")
    page.wait_for_selector("#s1-chart-quality .vega text:text-is('epoch')")
    before = page.inner_html("#s1-chart-quality")
    page.click("#s1-quality input[data-set=log]")
    wait_until(page, lambda: page.inner_html("#s1-chart-quality") != before)
    assert opened.messages == []


def test_without_scripts_charts_grids_and_tables_are_there(browser: Any, path: Path) -> None:
    opened = Opened(browser, path, java_script_enabled=False)
    page = opened.page
    assert page.locator("#s1-chart-scores svg").is_visible()
    assert page.locator("#s1-chart-quality svg").is_visible()
    assert page.locator("#runs-table tbody tr").count() == 14
    assert not page.locator(".player").first.is_visible()
    assert page.locator("#s1 .picture img").first.is_visible()
    opened.context.close()


def test_hostile_labels_run_nothing(browser: Any, tmp_path: Path) -> None:
    settings = {"beta1": 0.5, "note": HOSTILE}
    runs = [build(tmp_path, make_spec(seed=seed, settings=settings), pictures=seed == 0) for seed in range(2)]
    runs += [build(tmp_path, make_spec(seed=seed), pictures=False) for seed in range(2)]
    failed = make_spec(seed=7, settings=settings)
    runs.append(build(tmp_path, failed, pictures=False, status="failed", reason=HOSTILE, device_name=HOSTILE))
    opened = Opened(browser, written(tmp_path, runs))
    opened.draw_all()
    assert opened.page.evaluate("window.hacked") is None
    assert HOSTILE in opened.page.text_content("body")
    assert opened.messages == []
    assert [url for url in opened.requests if "evil" in url] == []
    opened.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, path: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="AXE IS MISSING")
    opened = Opened(browser, path, color_scheme=scheme, bypass_csp=True)
    opened.draw_all()
    found = axe.Axe().run(opened.page).response["violations"]
    serious = [
        (each["id"], each["nodes"][0]["html"][:200], each["nodes"][0].get("failureSummary", "")[:300])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
    opened.context.close()
