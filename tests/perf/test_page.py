"""The HTML page in a browser: at the width of a desktop and of a phone, nothing fetched, no error, tables that sort."""

import json

import pytest

from dragoman.perf import page
from dragoman.perf.compare import compare
from tests.perf.browser import CHROMIUM, Browser
from tests.perf.report import FULL, report, result

pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
COLUMN = "[...document.querySelectorAll('table')[{table}].tBodies[0].rows].map(row => row.cells[{column}].textContent)"
PLACES = "[...document.querySelectorAll('figure > div')]"


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "r.html"
    path.write_text(page.page(FULL, compare(report(result("one", stencil=2, warm=0.5)), FULL, "old.json"), "old.json"))
    return path


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_it_is_drawn_within_the_width_and_fetches_nothing(browser, made, width, height):
    browser.open(made, width, height)
    assert browser.complaints() == [] and browser.fetched() == [made.as_uri()]
    assert browser.value("[document.documentElement.scrollWidth == document.documentElement.clientWidth, innerWidth]") == [True, width]
    assert browser.value(f"{PLACES}.every(place => place.querySelector('svg.main-svg'))")
    assert browser.value(f"{PLACES}.every(place => place.getBoundingClientRect().right <= innerWidth)")
    for name, least in ((".bars .point", 10), (".scatter .js-line", 2), (".slice", 5)):
        assert browser.value(f"document.querySelectorAll('{name}').length") >= least, name


def test_tables_sort_by_number_and_by_name(browser, made):
    browser.open(made, 1280, 900)
    table = browser.value("[...document.querySelectorAll('table')].findIndex(table => table.tHead.textContent.includes('shortest'))")
    press = f"document.querySelectorAll('table')[{table}].tHead.rows[0].cells[{{0}}].firstChild.click()"

    def sorted_by(column: int) -> list[str]:
        browser.value(press.format(column))
        return browser.value(COLUMN.format(table=table, column=column))
    medians = [text.split(" s")[0] for text in sorted_by(2)]
    assert medians[:3] == ["4.00", "4.00", "4.00"] and medians[-2:] == ["0.250", "failed"]
    assert [text.split(" s")[0] for text in sorted_by(2)][::len(medians) - 1] == ["0.250", "failed"]       # what is missing stays last
    assert sorted_by(0)[0] == "two" and sorted_by(0)[0] == "one"
    assert browser.complaints() == []


def test_a_report_of_nothing_has_no_errors_either(browser, tmp_path):
    path = tmp_path / "empty.html"
    path.write_text(page.page(report()))
    browser.open(path, 390, 844)
    assert browser.complaints() == [] and json.loads(browser.value("document.getElementById('figures').textContent")) == {}
