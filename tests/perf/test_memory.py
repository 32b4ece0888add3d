"""The suite memory: a guest's counts become rows, what goes wrong is said, fills are of the kinds that they are called."""

import json

import pytest

from dragoman import guests
from dragoman.perf import memory, memory_fills
from dragoman.perf.memory import Rates
from dragoman.perf.page import page
from dragoman.runtime.memory.frames import SHADOW_FENCE, SHADOW_OFF, SHADOW_TRACE
from tests.command import dragoman
from tests.perf.report import report

OUTPUT = "# loads: 30 a second\nok a\n# loads, untranslated: 50 a second\n# switches: 7 a second\n"


def test_counts_become_rows():
    found = Rates()
    found.add("trace", OUTPUT)
    found.add("trace", OUTPUT.replace("30", "10"))
    found.add("off", OUTPUT.replace("50", "40"))
    found.add("qemu", OUTPUT.replace("50", "1"))
    loads, switches = found.medians()
    assert loads == {"name": "loads", "rounds": {"trace": [30, 10], "off": [30], "bare": [50, 50, 40], "qemu": [30]},
                     "trace": 20, "trace_spread": 0.5, "off": 30, "off_spread": 0, "bare": 50, "bare_spread": 0.1,
                     "qemu": 30, "qemu_spread": 0}
    assert switches["name"] == "switches" and switches["trace"] == 7 and "bare" not in switches


@pytest.mark.parametrize(("script", "says"), [("echo '# loads: 1 a second'", "wrong output"), ("exit 3", "exit status 3, not 0"),
                                              ("sleep 60", "did not end")])
def test_what_goes_wrong_is_said(script, says):
    assert says in memory.attempt(["/bin/sh", "-c", script], "trace", 0.5, None)


def test_an_expected_run_is_counted():
    said = guests.find(memory.GUEST).expected_output.decode().replace("\n", "\\n")
    found = Rates()
    assert memory.attempt(["/bin/sh", "-c", f"printf '{said}# loads: 12 a second\\n'"], "trace", 20, found.add) == ""
    assert found.medians() == [{"name": "loads", "rounds": {"trace": [12]}, "trace": 12, "trace_spread": 0}]


@pytest.fixture(scope="module")
def bench():
    made = memory_fills.Bench()
    yield made
    made.close()


@pytest.mark.parametrize(("kind", "walks", "second"), [
    ("hit", 0, 0), ("second_level", 0, 2), ("walk", 2, 0), ("walk_noted", 1, 1), ("walk_traced", 1, 1)])
def test_fills_are_what_they_are_called(bench, kind, walks, second):
    """Counted by the memory subsystem itself, for two sweeps over all pages; the second level knows them before."""
    bench.second_level()
    before = {name: bench.mmu.word(f"stat_{name}") for name in ("walks", "second", "refused")}
    assert getattr(bench, kind)() > 0
    changed = {name: bench.mmu.word(f"stat_{name}") - count for name, count in before.items()}
    if kind == "hit":
        assert changed["second"] + changed["walks"] == memory_fills.TLB_ENTRIES
    else:
        assert changed == {"walks": walks * memory_fills.PAGES, "second": second * memory_fills.PAGES, "refused": 0}
    shadow = {"walk": SHADOW_OFF, "walk_noted": SHADOW_FENCE}.get(kind, SHADOW_TRACE)
    assert bench.memory.word("shadow") == shadow


def test_it_is_shown_in_all_forms(capsys):
    from rich.console import Console

    from dragoman.perf import table
    made = report()
    found = Rates()
    found.add("trace", OUTPUT)
    made.memory, made.fills = found.medians(), [{"name": "a <fill>", "nanoseconds": 12.34}]
    made.failed = ["spaces: QEMU: broken"]
    Console(width=120).print(table.summary(made, 120))
    shown = capsys.readouterr().out
    assert "traced" in shown and "switches" in shown and "12.3" in shown and "spaces: QEMU: broken" in shown
    html = page(made)
    assert "switches" in html and "a &lt;fill&gt;" in html
    assert json.loads(json.dumps(made.as_json()))["memory"][0]["trace"] == 30


@pytest.mark.long
def test_the_whole_suite(tmp_path):
    done = dragoman("perf", "memory", "--rounds", "1", "--json", str(tmp_path / "m.json"), timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads((tmp_path / "m.json").read_text())
    assert {"off", "fence", "trace"} <= set(made["memory"][0]) and len(made["fills"]) == len(memory_fills.ROWS)
