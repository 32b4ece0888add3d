"""Inline forms do what the same instruction does when it traps: the oracle runs the recipe, the hook's code the instruction."""

from __future__ import annotations

import random

import pytest

from dragoman.dbt import oracle, state
from dragoman.dbt.isa.riscv import FORM, MACHINE, encoding, system_registers
from dragoman.dbt.isa.riscv.sensitive import CSRS
from dragoman.runtime.machine.riscv import sensitive
from tests.isa.oracle_engine import Page
from tests.privileged.hart import FS, MASK, MIE, MPP_M, MPP_S, PC, SD, SIE, SUM, XL, Hart, M, csr_word

NUMBERS = {row.name: number for number, row in CSRS.items()}
WORDS = [name for name in system_registers.NAMES if not name.startswith("stat_")]
VALUES = (0, 1, 2, 3, 8, 10, MASK, 1 << 63, 0x8000_0001, 0xFFFF_FFFF_8000_0003)


def hart(r: random.Random) -> Hart:
    made = Hart()
    for name in ("sscratch", "sepc", "scause", "stval", "mscratch", "mepc", "mcause", "mtval", "mhartid"):
        made[name] = r.choice(VALUES) & ~(name.endswith("epc"))
    made["stvec"] = r.choice(VALUES) & ~2
    made["mie"], made["mideleg"] = r.choice((0, 0x222, 0xAAA)), r.choice((0, 0x222, 0x20))
    made["mip"] = r.choice((0, 0, 2, 0x80, 1 << 41))
    made["mstatus"] = XL | r.choice((0, FS | SD)) | r.choice((0, SIE, MIE, SIE | MIE | MPP_M, SUM | MPP_S))
    return made


def run(form: str, made: Hart, operands: dict[str, int]) -> tuple[oracle.State, oracle.Outcome]:
    """The recipe on the same registers."""
    guest = oracle.State(x=[made.x(n) for n in range(33)], pc=PC)
    guest.fields.update({name: made[name] for name in WORDS})
    return guest, oracle.execute(FORM[form].recipe, operands, PC, PC + 4, guest, Page(b""))


@pytest.mark.parametrize("form", sorted(MACHINE - {"system"}))
def test_inline_form(form):
    operation, _, name = form.partition(".")
    r, number = random.Random(form), NUMBERS[name]
    inline = 0
    for _ in range(200):
        made = hart(r)
        rd, operand = r.choice((0, 5, 6)), r.choice((2, 8, 0, 10, 31, r.choice(VALUES)))
        immediate = operation.endswith("i")
        field = operand & 31 if immediate else 0 if operation == "csrr" else 5
        if operation not in ("csrr", "csrrw") and field == 0:
            continue                                        # decodes to csrr
        word = csr_word("csrrs" if operation == "csrr" else operation, number, field, rd)
        made.set_x(5, operand)
        guest, outcome = run(form, made, {"rd": rd or state.SINK, "rs1": field, "imm": word})
        if outcome.reason is not None:
            assert (outcome.reason, outcome.value, outcome.pc) == ("declined", word, PC)
            assert operation not in ("csrr", "csrrw")
            continue
        inline += 1
        key = made.key()
        assert made.execute(word) == sensitive.DONE
        assert [guest.fields[word] for word in WORDS] == [made[word] for word in WORDS]
        assert guest.x[:32] == [made.x(n) for n in range(32)]
        assert made["pc"] == outcome.pc
        assert made.key() == key                            # nothing that a translation depends on
    assert inline > 10


@pytest.mark.parametrize(("operation", "name", "bit", "mip", "mie", "leaves"), [
    ("csrrs", "sstatus", 2, 0, 0x222, False), ("csrrs", "sstatus", 2, 0x20, 0x222, True), ("csrrs", "sstatus", 2, 0x20, 2, False),
    ("csrrs", "sstatus", 2, 1 << 41, 0x200, True), ("csrrc", "sstatus", 2, 0x20, 0x222, False), ("csrrs", "sstatus", 1 << 18, 0, 0, True),
    ("csrrc", "sstatus", 1 << 18 | 2, 0, 0, True), ("csrrs", "sstatus", 8, 0, 0, True), ("csrrs", "mstatus", 8, 0, 0, False),
    ("csrrs", "mstatus", 8, 0x80, 0x80, True), ("csrrs", "mstatus", 2, 0, 0, True), ("csrrc", "mstatus", 8, 0x80, 0x80, False)])
def test_masks_leave_when_more_than_the_bit_changes_or_an_interrupt_falls_due(operation, name, bit, mip, mie, leaves):
    made = Hart(mode=M, mip=mip, mie=mie)
    made.set_x(5, bit)
    word = csr_word(operation, NUMBERS[name], 5)
    _, outcome = run(f"{operation}.{name}", made, {"rd": 6, "rs1": 5, "imm": word})
    assert (outcome.reason == "declined") is leaves


def test_system_leaves_with_the_word():
    guest, outcome = run("system", Hart(), {"imm": 0x10200073})
    assert outcome == oracle.Outcome(PC, "system", 0x10200073) and guest.pc == PC


def test_every_inline_form_has_an_encoding():
    made = {form for name in NUMBERS for operation in encoding.CSR_OPERATIONS if (form := f"{operation}.{name}") in FORM}
    assert made >= MACHINE - {"system"}
