"""The table and the page: complete, well-formed, on their own."""

import io
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from dragoman.perf.plot import LEFT, RIGHT, Bar, Scale, bars
from rich.console import Console

from dragoman.perf import page, table, words
from tests.perf.report import FULL, report, result


def text(made, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table.summary(made, width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 110, 200])
def test_table_shows_every_number(width):
    shown = text(FULL, width)
    for word in ("one", "two", "three", "2.00×", "4.00×", "failed: two: region: wrong output", "note: native three",
                 "0.400"):
        assert word in shown, word
    assert "…" not in shown and max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("width", [80, 110])
def test_many_programs_have_means(width):
    shown = text(report(*[result(f"p{n}", stencil=1, qemu=2 + n, warm=1, native=1) for n in range(5)]), width)
    for word in ("geometric means", "p4", "6.00×", "3.73×", "1.00×", "10 MB"):
        assert word in shown, word
    assert "…" not in shown


def test_a_single_program_is_shown_with_all_that_is_known():
    shown = text(report(result("one", stencil=1, qemu=2)), 110)
    for word in ("one: about <one>, 1.0 G guest instructions", "10 %", "10 MB", "1.0 G/s", "2.00×"):
        assert word in shown, word


def test_an_empty_report():
    assert text(report(), 80).strip() == ""
    assert "Measured with" in page.page(report())


class Checker(HTMLParser):
    """Fails on tags that are not closed as they were opened; gathers texts and what would be fetched."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [value for name, value in attributes if name in ("src", "href", "srcset")]

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_page_is_whole_and_fetches_nothing():
    made = page.page(FULL)
    checker = Checker()
    checker.feed(made)
    checker.close()
    assert checker.open == [] and checker.fetched == [] and "url(" not in made and "@import" not in made
    shown = " ".join(checker.texts)
    for word in ("about <one>", "a & b", "two: region: wrong output: b'<x>'", "a < b", "4.00×", "libc"):
        assert word in shown, word


def test_every_plot_is_well_formed():
    plots = re.findall(r"<svg .*?</svg>", page.page(FULL), re.S)
    assert len(plots) == 2 + 3          # two means, and each result
    for plot in plots:
        ElementTree.fromstring(plot)


def test_bars_begin_at_the_base_and_end_at_their_value():
    scale = Scale([0.25, 4])
    rows = [Bar("slow", 0.25, 0.2, 0.3, "a", "x"), Bar("fast", 4, 4, 4, "b", "x")]
    slow, fast = ElementTree.fromstring(bars("t", rows, scale)).iter("rect")
    one = scale.x(1)
    assert float(slow.get("x")) == scale.x(0.25) < one == float(fast.get("x"))
    assert float(slow.get("x")) + float(slow.get("width")) == pytest.approx(one, abs=0.1)
    assert float(fast.get("x")) + float(fast.get("width")) == pytest.approx(scale.x(4), abs=0.1)


@pytest.mark.parametrize("values", [[], [1], [0.5, 0.5], [1e-3, 1e4], [3.3e9, 7e8], [math.nan, 2], [math.inf, 1]])
@pytest.mark.parametrize("base", [0, 1])
def test_scale(values, base):
    scale = Scale(values, base)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 8 and ticks == sorted(ticks)
    for value in [*ticks, *[value for value in values if value > 0 and value != math.inf], scale.base]:
        assert LEFT <= scale.x(value) <= RIGHT
    assert scale.low < scale.high


@pytest.mark.parametrize(("said", "expected"), [
    (words.seconds(0.0123), "12.3 ms"), (words.seconds(0.5), "0.500 s"), (words.seconds(float("nan")), "–"),
    (words.times(0.123), "0.12×"), (words.times(12.34), "12.3×"), (words.times(123.4), "123×"),
    (words.count(2_100_000_000), "2.1 G"), (words.count(0), "–"), (words.count(999), "999"),
    (words.rate(7.5e8), "750 M/s"), (words.percent(0.012), "1.2 %"), (words.megabytes(38_400_000), "38 MB"),
])
def test_words(said, expected):
    assert said == expected
