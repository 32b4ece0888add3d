"""All recipes together: names, fields, order; what a recorder refuses; what rows do not show of the oracle."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dragoman.dbt import oracle, state
from dragoman.dbt.isa.riscv import FORM, FORMS, HOT, MACHINE, PINNED, REGISTER_NAMES
from dragoman.dbt.recipe import OPS, RecipeError, Recorder, record
from tests.isa.assemble import OPCODES
from tests.isa.oracle_engine import Page
from tests.isa.reader import double_bits

PSEUDO = {"nop", "illegal", "fetch", "emulate"}     # no encoding of their own


def test_forms_are_binutils_instructions():
    assert {form.name for form in FORMS} - MACHINE == OPCODES.keys() | PSEUDO


def test_numbers_are_dense():
    assert [form.number for form in FORMS] == list(range(len(FORMS)))
    assert all(FORM[form.name] is form for form in FORMS)


def test_hot_forms_and_pinned_registers_exist():
    assert FORM.keys() >= HOT
    assert len(set(PINNED)) == 7 and all(0 < n < 32 for n in PINNED)
    assert [len(names) for names in REGISTER_NAMES.values()] == [32, 32]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_recipe_fits_record_and_state(form):
    assert form.recipe.fields <= state.FIELD_OFFSET.keys()
    for op in form.recipe.ops:
        kind = OPS[op.name][0]
        if op.name in ("get_field", "set_field"):
            assert op.attribute in state.OFFSET
        if op.name in ("trap", "trap_if"):
            assert op.attribute in state.EXITS
        assert (op.bits == 0) == (kind in ("commit", "end") or op.name in ("store", "fence", "trap_if"))


def known_to_the_oracle() -> set[str]:
    return {name for name in OPS if name in oracle.PURE or name in oracle.FLOAT
            or hasattr(oracle._Execution, "op_" + name)}


def test_oracle_knows_every_op():
    assert known_to_the_oracle() == OPS.keys()


def test_recording_is_fast():
    """Tools import all forms: 10 ms measured; the limit allows for a loaded machine."""
    program = ("import time\nfrom dragoman.dbt import recipe\nt = time.process_time()\nimport dragoman.dbt.isa.riscv\n"
               "print(time.process_time() - t)")
    times = [float(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
             for _ in range(3)]
    assert min(times) < 0.03


# --- what a recorder refuses
def read_after_commit(i: Recorder) -> None:
    i.put("x", "rd", 1)
    i.get("x", "rs1")


def load_after_commit(i: Recorder) -> None:
    address = i.get("x", "rs1")
    i.put("x", "rd", 1)
    i.load(address, 8)


def trap_after_commit(i: Recorder) -> None:
    condition = i.get("x", "rs1").eq(0)
    i.put("x", "rd", 1)
    i.trap_if(condition, "illegal")


def two_ends(i: Recorder) -> None:
    i.jump()
    i.jump()


def truth(i: Recorder) -> None:
    if i.get("x", "rs1").eq(0):
        i.put("x", "rd", 1)


def mixed_widths(i: Recorder) -> None:
    value = i.get("x", "rs1")
    i.put("x", "rd", value + value.low(32))


def narrow_write(i: Recorder) -> None:
    i.put("x", "rd", i.get("x", "rs1").low(32))


def wide_choice(i: Recorder) -> None:
    value = i.get("x", "rs1")
    i.put("x", "rd", i.select(value, value, value))


def mixed_floats(i: Recorder) -> None:
    value = i.get("f", "rs1")
    i.put("f", "rd", i.fp("fadd", value, value.low(32)))


@pytest.mark.parametrize("semantics", [read_after_commit, load_after_commit, trap_after_commit, two_ends, truth,
                                       mixed_widths, narrow_write, wide_choice, mixed_floats])
def test_broken_rules_are_found_when_recorded(semantics):
    with pytest.raises(RecipeError):
        record(semantics, Recorder())


# --- the oracle beyond rows
def run(form: str, state: oracle.State, emulating: bool = False, **operands: int) -> oracle.Outcome:
    return oracle.execute(FORM[form].recipe, operands, 0x1000, 0x1004, state, Page(b""), emulating=emulating)


def test_counts():
    def count(name: str, value: int) -> int:
        def semantics(i: Recorder) -> None:
            i.put("x", "rd", i.get("x", "rs1").count(name))
        guest = oracle.State()
        guest.x[1] = value
        oracle.execute(record(semantics, Recorder()), {"rd": 3, "rs1": 1}, 0, 4, guest, Page(b""))
        return guest.x[3]
    assert [count("ctlz", v) for v in (0, 1, 1 << 63)] == [64, 63, 0]
    assert [count("cttz", v) for v in (0, 8, 1 << 63)] == [64, 3, 63]
    assert count("ctpop", 0xFF00FF) == 16
    assert count("bswap", 0x0123456789ABCDEF) == 0xEFCDAB8967452301


def test_emulating_writes_modes_that_hosts_lack():
    guest = oracle.State()
    assert run("csrrwi.frm", guest, rd=3, imm=4).reason == "emulate"
    assert guest.fields["frm"] == 0
    assert run("csrrwi.frm", guest, emulating=True, rd=3, imm=4) == oracle.Outcome(0x1004)
    guest.f[1], guest.f[2] = double_bits(1.0), double_bits(2**-53)
    run("fadd.d", guest, rd=3, rs1=1, rs2=2)
    assert guest.f[3] == double_bits(1 + 2**-52)      # ties away


@pytest.mark.parametrize("mode", [5, 6, 7])
def test_reserved_dynamic_mode_is_illegal(mode):
    guest = oracle.State()
    guest.fields["frm"] = mode
    before = guest.f.copy()
    assert run("fadd.d", guest, rd=3, rs1=1, rs2=2) == oracle.Outcome(0x1000, "illegal")
    assert guest.f == before
    assert run("fsgnj.d", guest, rd=3, rs1=1, rs2=2).reason is None


@pytest.mark.parametrize("kind", ["cycle", "time", "instret"])
def test_counters_never_go_back(kind):
    guest, values = oracle.State(), []
    for _ in range(3):
        run(f"csrr.{kind}", guest, rd=3)
        values.append(guest.x[3])
    assert values == sorted(values)
    guest.clock = {"cycle": 7, "time": 8, "instret": 9}.__getitem__
    run(f"csrr.{kind}", guest, rd=3)
    assert guest.x[3] == guest.clock(kind)


def test_flags_are_not_raised_by_an_instruction_that_faults():
    def semantics(i: Recorder) -> None:
        i.put("f", "rd", i.fp("fdiv", i.get("f", "rs1"), i.load(i.get("x", "rs1"), 8)))
    guest = oracle.State()
    with pytest.raises(oracle.GuestFault) as fault:
        oracle.execute(record(semantics, Recorder()), {"rd": 3, "rs1": 1}, 0, 4, guest, Page(b""))
    assert fault.value.address == 0 and guest.flags == 0
