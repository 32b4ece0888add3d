"""Edge values for all operand pairs, in every rounding mode: the oracle against other machines, engines against it."""

from __future__ import annotations

from functools import lru_cache

import pytest

from dragoman.dbt.isa.riscv import FORMS, MACHINE, atomic, bits, control, convert, csr, integer, memory, multiply
from dragoman.dbt.isa.riscv import float as floating
from tests.engines.native import NativeEngine
from tests.engines.regions import REGIONS
from tests.isa.assemble import encodable
from tests.isa.case import End, Instruction, Start, compare, report
from tests.isa.engines import CHECKED, ORACLE
from tests.isa.grid import ALL_MODES, HOST_MODES, Grid, grids, shapes
from tests.isa.qemu_engine import QEMU, QemuEngine
from tests.isa.unicorn_engine import UnicornEngine

# Unicorn has no trap that it would report as ours, and its reservations are its own.
INTEGER = [name for family in (integer, multiply, memory, atomic, control) for name in family.FAMILY
           if encodable(name) and not name.startswith(("f", "e", "lr.", "sc."))]
FLOAT = [name for family in (floating, convert, csr) for name in family.FAMILY
         if name not in ("csrr.cycle", "csrr.time", "csrr.instret")]
BITS = [name for name in bits.FAMILY if not name.startswith("czero")]       # QEMU 7.2 has no Zicond
WITH_BITS = ("qemu-riscv64", "-cpu", "rv64,zba=true,zbb=true,zbc=true,zbs=true")
ALL = [form.name for form in FORMS if form.name not in (*MACHINE, "csrr.cycle", "csrr.time", "csrr.instret")]
WITH_SHAPES = [name for name in ALL if not name.startswith("csrr")
               and any(file == "x" for form in FORMS if form.name == name for file, _ in (*form.recipe.reads, *form.recipe.writes))]

qemu_needed = pytest.mark.skipif(QEMU is None, reason="qemu-riscv64 is not installed")


@pytest.fixture(scope="module")
def unicorn() -> UnicornEngine:
    return UnicornEngine()


@pytest.mark.parametrize("form", INTEGER)
def test_oracle_against_unicorn(unicorn: UnicornEngine, form: str):
    for instruction, starts in [*grids(form), *(shapes(form) if form in WITH_SHAPES and not accesses(form) else [])]:
        compare(ORACLE, unicorn, instruction, starts)


def accesses(form: str) -> bool:
    return form in memory.FAMILY or form in atomic.FAMILY


@qemu_needed
@pytest.mark.parametrize("forms", [FLOAT[n:n + 20] for n in range(0, len(FLOAT), 20)], ids=lambda forms: forms[0])
def test_oracle_against_qemu(forms: list[str]):
    against_qemu(forms, many=False)


@qemu_needed
@pytest.mark.long
@pytest.mark.parametrize("form", FLOAT)
def test_oracle_against_qemu_long(form: str):
    against_qemu([form], many=True)


@qemu_needed
def test_oracle_against_qemu_with_bits():
    against_qemu(BITS, many=False)


def wrong_in_qemu(form: str, start: Start) -> bool:
    """QEMU 7.2 counts into the high word where the low one, which ctzw is about, is 0."""
    return form == "ctzw" and start.registers("x")[1] & 0xFFFF_FFFF == 0


def against_qemu(forms: list[str], many: bool) -> None:
    """Where the oracle would leave (a rounding mode that hosts lack is written), it has to go on as QEMU does."""
    tried = [(what, [start for start in starts if not wrong_in_qemu(form, start)])
             for form in forms for what, starts in grids(form, ALL_MODES, many)]
    for (instruction, starts), ends in zip(tried, QemuEngine(WITH_BITS).run_all(tried), strict=True):
        report(instruction, starts, "oracle", ORACLE.run(instruction, starts, emulating=True), "qemu-riscv64", ends)


@lru_cache(maxsize=1)
def expected(form: str, many: bool) -> list[tuple[Grid, list]]:
    return [((what, starts), ORACLE.run(what, starts)) for what, starts in grids(form, HOST_MODES, many)]


@pytest.mark.parametrize("engine", CHECKED, ids=lambda engine: engine.name)
@pytest.mark.parametrize("form", ALL)
def test_edge_values(engine: NativeEngine, form: str):
    check_edge_values(engine, form, engine.step(form), many=False)


@pytest.mark.long
@pytest.mark.parametrize("engine", CHECKED, ids=lambda engine: engine.name)
@pytest.mark.parametrize("form", ALL)
def test_edge_values_long(engine: NativeEngine, form: str):
    check_edge_values(engine, form, 1, many=True)


def check_edge_values(engine: NativeEngine, form: str, step: int, many: bool) -> None:
    tried = [(what, starts[::step], wanted[::step]) for (what, starts), wanted in expected(form, many)]
    check_all(engine, tried)


def check_all(engine: NativeEngine, tried: list[tuple[Instruction, list[Start], list[End]]]) -> None:
    if not all(engine.serves(what) for what, _, _ in tried):
        pytest.skip("no code for it")
    ends = engine.run_all([(what, starts) for what, starts, _ in tried])
    for (what, starts, wanted), got in zip(tried, ends, strict=True):
        report(what, starts, engine.name, got, "oracle", wanted)


@pytest.mark.parametrize("engine", CHECKED, ids=lambda engine: engine.name)
@pytest.mark.parametrize("form", WITH_SHAPES)
def test_operand_shapes(engine: NativeEngine, form: str):
    check_shapes(engine, form, engine.step(form))


@pytest.mark.long
@pytest.mark.parametrize("engine", REGIONS, ids=lambda engine: engine.name)
@pytest.mark.parametrize("form", WITH_SHAPES)
def test_operand_shapes_long(engine: NativeEngine, form: str):
    check_shapes(engine, form, 1)


def check_shapes(engine: NativeEngine, form: str, step: int) -> None:
    check_all(engine, [(what, starts, ORACLE.run(what, starts)) for what, starts in shapes(form)[::step]])
