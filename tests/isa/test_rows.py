"""Rows of data with values from the manual: every form has one, every engine passes all."""

from pathlib import Path

import pytest

from dragoman.dbt.isa.riscv import FORMS, MACHINE
from tests.engines.regions import REGIONS, RegionEngine
from tests.isa.case import Case, Engine, run_case
from tests.isa.engines import ENGINES
from tests.isa.reader import read

CASES = [case for path in sorted(Path(__file__).with_name("rows").glob("*.txt")) for case in read(path)]
COUNTERS = {"csrr.cycle", "csrr.time", "csrr.instret"}      # no value to expect: test_recipes.py; MACHINE: tests/privileged


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.place)
def test_row(engine: Engine, case: Case):
    run_case(engine, case)


# Rows may branch to just before the instruction, where `loaded` ones have code.
@pytest.mark.parametrize("engine", [engine for engine in REGIONS if not engine.loaded], ids=lambda engine: engine.name)
def test_all_rows_in_regions(engine: RegionEngine):
    """As many rows in each region as it takes."""
    cases = [case for case in CASES if engine.serves(case.instruction)]
    ends = engine.run_all([(case.instruction, [case.start]) for case in cases])
    wrong = [f"{case.place}: {case.row}\n  " + "\n  ".join(lines) for case, [end] in zip(cases, ends, strict=True)
             if (lines := end.differences(case.end))]
    assert not wrong, "\n".join(wrong)


def test_every_form_has_a_row():
    assert {form.name for form in FORMS} - MACHINE - {case.instruction.form for case in CASES} == COUNTERS
