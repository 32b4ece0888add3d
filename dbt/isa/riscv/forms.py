"""All forms of RV64GC, B, Zbc, Zicond and machines, recorded once: FORMS by number, FORM by name, HOT worth operand shapes."""

from __future__ import annotations

from dragoman.dbt.isa.riscv import atomic, bits, control, convert, csr, integer, memory, multiply, system
from dragoman.dbt.isa.riscv import float as floating
from dragoman.dbt.isa.riscv.recorder import RiscvRecorder, Semantics
from dragoman.dbt.isa.riscv.system_registers import INLINE_COUNTER, INLINE_CSRS
from dragoman.dbt.recipe import Form, record

SEMANTICS: dict[str, Semantics] = {}
for _family in (integer, multiply, bits, memory, atomic, control, floating, convert, csr, system):
    if SEMANTICS.keys() & _family.FAMILY.keys():
        raise AssertionError(f"{_family.__name__} defines again {SEMANTICS.keys() & _family.FAMILY.keys()}")
    SEMANTICS.update(_family.FAMILY)


def _counter(name: str) -> str:
    """Accesses to CSRs that machines have inline are counted by CSR."""
    operation, _, csr_name = name.partition(".")
    return f"{INLINE_COUNTER}{csr_name}" if operation.startswith("csrr") and csr_name in INLINE_CSRS else ""


FORMS: tuple[Form, ...] = tuple(Form(name, number, record(semantics, RiscvRecorder()), _counter(name))
                                for number, (name, semantics) in enumerate(SEMANTICS.items()))
FORM: dict[str, Form] = {form.name: form for form in FORMS}

# Forms of machine contexts; no process has them. WITH_WORD: their immediate is the instruction word, sign-extended.
MACHINE = frozenset(system.FAMILY)
WITH_WORD = system.WITH_WORD

# 97 % of the instructions in Debian's binaries, and what compilers that may use Zba and Zbb put in their place in array
# accesses and widenings; of floating-point loads and stores it is the base register that counts.
_HOT = """
    nop li add addi sub and andi or ori xor xori sll slli srl srli sra srai slt slti sltu sltiu mul
    addw addiw subw slliw srliw sraiw mulw
    sh1add sh2add sh3add add.uw sext.b sext.h zext.h
    lb lbu lh lhu lw lwu ld sb sh sw sd flw fld fsw fsd
    beq bne blt bge bltu bgeu j jal jalr jr ret
"""
HOT = frozenset(_HOT.split())
THREE_ADDRESS = frozenset({"add"})          # with three different registers one host instruction, lea
WIDE_IMMEDIATE = frozenset({"li"})          # the immediate can need 64 bits
ZERO_IMMEDIATE = frozenset({"addi", "addiw", "jalr", "jr", "ret"})      # often 0, which saves a host instruction
