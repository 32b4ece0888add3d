"""What each sensitive instruction decodes to in each context of a machine, and that nothing else differs from a process."""

from __future__ import annotations

import ctypes
import random

import pytest

from dragoman.dbt import decode, listing, state
from dragoman.dbt.isa.riscv import FORM, MACHINE, sensitive
from dragoman.dbt.isa.riscv.contexts import FLOAT_OFF, MODE, TIME_OFF, VALID, describe
from tests.privileged.hart import M, S, U, csr_word

PC = 0x8000_0000


class Context:
    """A decoder of one context (None: of a process), as plain Python."""

    def __init__(self, context: int | None, inline: bool = True):
        self.decoder = listing._Own(decode.tables("riscv", context, inline))
        self.record = ctypes.create_string_buffer(state.RECORD_SIZE)

    def __call__(self, word: int) -> listing.Record:
        code = ctypes.create_string_buffer(word.to_bytes(4, "little"), 8)
        decode.decode_one(self.decoder.address, ctypes.addressof(code), PC, 4, ctypes.addressof(self.record))
        return listing.unpack(self.record.raw)


CONTEXTS = {context: Context(context) for context in VALID}
TRAPPING = {context: Context(context, inline=False) for context in VALID}
PROCESS = Context(None)

# word, least mode (privileged manual 3.3, 4.2; Svinval); -1: no instruction
INSTRUCTIONS = {
    "mret": (0x30200073, M), "sret": (0x10200073, S), "wfi": (0x10500073, S), "sfence.vma": (0x12000073, S),
    "sfence.vma a0, a1": (0x12B50073, S), "sinval.vma a0, a1": (0x16B50073, S), "sfence.w.inval": (0x18000073, S),
    "sfence.inval.ir": (0x18100073, S), "uret": (0x00200073, -1), "mret with rd": (0x302000F3, -1), "dret": (0x7B200073, -1),
    "sfence.vma with rd": (0x120000F3, -1), "hfence.vvma": (0x22000073, -1), "hfence.gvma": (0x62000073, -1),
    "hlv.b": (0x60004573, -1), "sfence.w.inval with rs1": (0x18008073, -1), "mnret": (0x70200073, -1), "funct3 4": (0x30004073, -1),
}
# operation, number, operand field, form, least mode for it
INLINE = [
    *(("csrrs", number, 0, f"csrr.{name}", least) for number, name, least in (
        (0x100, "sstatus", S), (0x104, "sie", S), (0x105, "stvec", S), (0x140, "sscratch", S), (0x141, "sepc", S), (0x142, "scause", S),
        (0x143, "stval", S), (0x300, "mstatus", M), (0x340, "mscratch", M), (0x341, "mepc", M), (0x342, "mcause", M),
        (0x343, "mtval", M), (0xF14, "mhartid", M))),
    *(("csrrw", number, 5, f"csrrw.{name}", least) for number, name, least in (
        (0x105, "stvec", S), (0x140, "sscratch", S), (0x141, "sepc", S), (0x340, "mscratch", M), (0x341, "mepc", M))),
    *((operation, number, 2, f"{operation}.{name}", least) for operation in ("csrrs", "csrrc", "csrrsi", "csrrci")
      for number, name, least in ((0x100, "sstatus", S), (0x300, "mstatus", M))),
]
TRAPS = [("csrrw", 0x100, 5), ("csrrwi", 0x140, 5), ("csrrs", 0x140, 5), ("csrrw", 0x142, 5), ("csrrw", 0x180, 5), ("csrrs", 0x180, 0),
         ("csrrs", 0x144, 0), ("csrrw", 0x104, 5), ("csrrw", 0x300, 5), ("csrrs", 0x344, 0), ("csrrs", 0xC00, 0), ("csrrs", 0xC02, 0),
         ("csrrs", 0xC03, 0), ("csrrs", 0x7C0, 0), ("csrrs", 0xFFF, 0), ("csrrw", 0xC01, 5)]
FLOATS = {"fadd.d": 0x02C5F553, "fld": 0x00053507, "fsd": 0x00A53027, "fmv.x.d": 0xE2050553, "feq.s": 0xA0B52553, "fadd.d rmm": 0x02C5C553,
          "fcvt.d.w": 0xD2058553, "c.fld": 0x2108, "c.fsdsp": 0xA02A, "c.fldsp": 0x2502, "csrr fcsr": csr_word("csrrs", 3, 0),
          "csrrw frm": csr_word("csrrw", 2, 5), "csrrsi fflags": csr_word("csrrsi", 1, 5)}


def signed(word):
    return word - (1 << 32) if word >> 31 else word


@pytest.mark.parametrize("context", VALID, ids=describe)
@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_privileged_instructions(context, name):
    word, least = INSTRUCTIONS[name]
    for decoders in (CONTEXTS, TRAPPING):
        record = decoders[context](word)
        assert record.form == ("system" if 0 <= least <= context & MODE else "illegal")
        assert record.imm & 0xFFFFFFFF == word
    assert PROCESS(word).form == "illegal"


@pytest.mark.parametrize("context", VALID, ids=describe)
@pytest.mark.parametrize(("operation", "number", "field", "form", "least"), INLINE)
def test_inline_forms_of_csrs(context, operation, number, field, form, least):
    word = csr_word(operation, number, field)
    record = CONTEXTS[context](word)
    assert record.form == (form if context & MODE >= least else "system")
    if record.form != "system":
        assert record.rd == 6 and (operation.endswith("i") or record.rs1 == field)
    if record.form.startswith(("csrrs", "csrrc", "system")):
        assert record.imm == signed(word)
    assert TRAPPING[context](word)._replace(rd=0, rs1=0) == listing.Record("system", 4, 0, 0, 0, 0, 0, signed(word), PC)
    assert PROCESS(word).form == "illegal"


@pytest.mark.parametrize("context", VALID, ids=describe)
@pytest.mark.parametrize(("operation", "number", "field"), TRAPS)
def test_other_csr_accesses_trap(context, operation, number, field):
    word = csr_word(operation, number, field)
    for decoders in (CONTEXTS, TRAPPING):
        record = decoders[context](word)
        assert (record.form, record.imm) == ("system", signed(word))


@pytest.mark.parametrize("context", VALID, ids=describe)
def test_time(context):
    word = csr_word("csrrs", 0xC01, 0)
    assert CONTEXTS[context](word).form == ("system" if context & TIME_OFF else "csrr.time")
    assert TRAPPING[context](word).form == "system"


@pytest.mark.parametrize("context", VALID, ids=describe)
@pytest.mark.parametrize("name", FLOATS)
def test_floating_point(context, name):
    word = FLOATS[name]
    expected = PROCESS(word)
    assert expected.form != "illegal"
    record = CONTEXTS[context](word)
    if context & FLOAT_OFF:
        assert (record.form, record.length, record.imm) == ("illegal", expected.length, word)
    else:
        assert record == expected
    if "csr" in name:
        assert TRAPPING[context](word).form == ("illegal" if context & FLOAT_OFF else "system")


@pytest.mark.parametrize("context", VALID, ids=describe)
def test_all_else_is_as_in_a_process(context):
    r = random.Random(context)
    for _ in range(800):
        word = r.getrandbits(32)
        record, plain = CONTEXTS[context](word), PROCESS(word)
        assert record == plain or word & 0x7F == 0x73 or (context & FLOAT_OFF and record.form == "illegal" and floats(plain.form))


def floats(form):
    recipe = FORM[form].recipe
    return form == "emulate" or any(file == "f" for file, _ in (*recipe.reads, *recipe.writes))


def test_contexts():
    assert {context & MODE for context in VALID} == {U, S, M}
    assert len(VALID) == 10
    with pytest.raises(ValueError, match="no context 2"):
        decode.tables("riscv", 2)


def test_forms_of_machines_are_no_process_s():
    r = random.Random(7)
    for _ in range(1000):
        assert PROCESS(r.getrandbits(25) << 7 | 0x73).form not in MACHINE


def test_the_table_has_a_row_for_each_sensitive_word():
    for word, _ in INSTRUCTIONS.values():
        row = sensitive.find(word)
        assert (row is not None) == any(CONTEXTS[context](word).form == "system" for context in VALID)
    for operation, number, field, form, least in INLINE:
        row = sensitive.find(csr_word(operation, number, field))
        assert row is not None and (row.number, row.level, row.rewritten) == (number, least, "inline") and form.endswith(row.name)
    assert sensitive.find(csr_word("csrrw", 0x180, 5)) == sensitive.OTHER_CSR
    assert sensitive.find(0x00000073).name == "ecall" and sensitive.find(0x00000013) is None


def test_inline_and_trapping_forms_are_told_apart():
    assert [sensitive.is_inline(form) for form in ("system", "csrr.sepc", "csrrci.sstatus", "csrr.time", "ecall", "add")] == [
        False, True, True, True, False, False]
