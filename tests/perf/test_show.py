"""The table and the page: complete, well-formed, on their own."""

import io
import json
import math
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from dragoman.perf import page, plots, table, words
from dragoman.perf.page_script import STYLE
from dragoman.perf.parts import NAMES
from dragoman.perf.plots import Bar
from tests.perf.report import FULL, report, result


def text(made, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table.summary(made, width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 110, 200])
def test_table_shows_every_number(width):
    shown = text(FULL, width)
    for word in ("one", "two", "three", "Where the time went", "native code", "auto cold", "▁", "█", "2.00×", "4.00×",
                 "failed: two: region: wrong output", "note: native three", "0.400"):
        assert word in shown, word
    assert "…" not in shown and max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("width", [80, 110])
def test_many_programs_have_means(width):
    shown = text(report(*[result(f"p{n}", stencil=1, qemu=2 + n, warm=1, native=1) for n in range(5)]), width)
    for word in ("geometric means", "p4", "±10%", "6.00×", "3.73×", "1.00×", "10 MB"):
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
    assert checker.open == [] and checker.fetched == [] and "@import" not in STYLE and "url(" not in STYLE
    shown = " ".join(checker.texts)
    assert "<script src" not in made and "default-src 'none'" in made
    for word in ("about <one>", "a & b", "two: region: wrong output: b'<x>'", "a < b", "4.00×", "libc"):
        assert word in shown, word


def figures(made: str) -> dict:
    """What the page's script draws."""
    return json.loads(re.search(r"<script type='application/json' id=figures>(.*?)</script>", made, re.S)[1])


def test_every_figure_has_its_place_and_colours_of_the_page():
    made = page.page(FULL)
    found = figures(made)
    assert len(found) == 2 + 4 + 2 + 1          # two means, each result, the split of one contender of programs and of a machine, a curve
    colours = set(re.findall(r'"(--[a-z-]+)"', json.dumps(found)))
    for name in found:
        assert made.count(f"id={name} ") == 1
    assert colours and all(f"{colour}:" in made for colour in colours)


def test_bars_begin_at_the_base_and_end_at_their_value():
    rows = [Bar("slow", 0.25, 0.2, 0.3, "a", "--qemu"), Bar("none", math.nan, math.nan, math.nan, "failed", "--qemu"),
            Bar("fast", 4, 3, 6, "b", "--qemu")]
    figure = plots.bars(rows, (0.1, 10), 1)
    bars, texts = figure["data"]
    assert (bars["y"], bars["base"], bars["x"]) == (["slow", "fast"], 1, [-0.75, 3])
    assert bars["error_x"]["array"] == pytest.approx([0.05, 2]) and bars["error_x"]["arrayminus"] == pytest.approx([0.05, 1])
    assert texts["x"] == [1, 6]
    assert figure["layout"]["yaxis"]["categoryarray"] == ["fast", "none (failed)", "slow"]


@pytest.mark.parametrize("values", [[], [1], [0.5, 0.5], [1e-3, 1e4], [3.3e9, 7e8], [math.nan, 2], [math.inf, 1]])
def test_a_scale_has_all_values_and_its_base(values):
    low, high = plots.ends_of(values, 1)
    assert 0 < low < 1 < high
    assert all(low < value < high for value in values if value != math.inf and not math.isnan(value))


def test_a_flame_adds_up():
    seconds = {name: number / 4 for number, name in enumerate(NAMES, start=1)}
    flame = plots.flame(seconds)["data"][0]
    value = dict(zip(flame["ids"], flame["values"], strict=True))
    for parent in ("whole", "run"):
        inside = [value[name] for name, above in zip(flame["ids"], flame["parents"], strict=True) if above == parent]
        assert sum(inside) == value[parent]
    assert value["whole"] == len(NAMES) * (len(NAMES) + 1) / 8         # 1 + 2 + ... quarters
    assert flame["ids"][:3] == ["whole", "start", "run"] and flame["ids"][-1] == "end"


def test_curves_are_steps_with_the_regions_on_them():
    figure = plots.curves({"cold": [(0.1, 100.0), (0.2, 400.0)]}, {"cold": "auto cold"}, {"cold": [0.15, 0.151, 0.5]})
    line, marks = figure["data"]
    assert (line["x"], line["y"]) == ([plots.EARLIEST, 0.1, 0.2], [100, 100, 400])
    assert (marks["x"], marks["y"]) == ([0.15], [400])      # what is close to another, or behind the end, is not shown


@pytest.mark.parametrize(("said", "expected"), [
    (words.seconds(0.0123), "12.3 ms"), (words.seconds(0.5), "0.500 s"), (words.seconds(float("nan")), "–"),
    (words.times(0.123), "0.12×"), (words.times(12.34), "12.3×"), (words.times(123.4), "123×"),
    (words.count(2_100_000_000), "2.1 G"), (words.count(0), "–"), (words.count(999), "999"),
    (words.rate(7.5e8), "750 M/s"),
    (words.about(0.034), "±3%"), (words.about(float("nan")), ""), (words.percent(0.012), "1.2 %"), (words.megabytes(38_400_000), "38 MB"),
])
def test_words(said, expected):
    assert said == expected
