"""Sensitive instructions of machines: those rewritten inline, whose effect is a field of the CPU, and `system` for the rest.

The forms exist in machine contexts only. In those that can trap, and in `system`, imm is the instruction word
(privileged manual 20240411, 2 and 3.1.6; which instruction becomes which form: sensitive.py).
"""

from __future__ import annotations

from dragoman.dbt.isa.riscv.csr import SOURCES
from dragoman.dbt.isa.riscv.recorder import RiscvRecorder, Semantics
from dragoman.dbt.isa.riscv.system_registers import EXTERNAL_LINE, MSTATUS_MIE, MSTATUS_SIE, SSTATUS
from dragoman.dbt.recipe import Value

ALL = (1 << 64) - 1


def system(i: RiscvRecorder) -> None:
    i.trap("system", i.imm())


def read(name: str, mask: int = ALL, view: str = "") -> Semantics:
    """A register that is a field, or the bits of `mask` of one, or those that the field `view` shows."""
    def run(i: RiscvRecorder) -> None:
        value = i.field(name)
        if mask != ALL:
            value = value & mask
        i.set("rd", value & i.field(view) if view else value)
    return run


def write(name: str, mask: int = ALL) -> Semantics:
    """Of a register of which any value is legal, but for bits that are read-only zero."""
    def run(i: RiscvRecorder) -> None:
        old, new = i.field(name), i.x("rs1")
        i.set_field(name, new if mask == ALL else new & mask)
        i.set("rd", old)
    return run


def zimm(i: RiscvRecorder) -> Value:
    return i.imm().lshr(15) & 31


def mask_interrupts(enable: int, visible: int, sets: bool, immediate: bool) -> Semantics:
    """Set or clear an interrupt-enable bit of mstatus; other bits are not for here, nor an interrupt that falls due."""
    def run(i: RiscvRecorder) -> None:
        operand = zimm(i) if immediate else SOURCES[""](i)
        old = i.field("mstatus")
        leave = (operand & ~enable).ne(0)
        if sets:
            pending = i.field("mip")
            leave = leave | (i.field("mie") & (pending | pending.lshr(EXTERNAL_LINE))).ne(0)
        i.trap_if(leave, "declined", i.imm())
        i.set_field("mstatus", old | operand if sets else old & ~operand)
        i.set("rd", old & visible)
    return run


_MASKS = {"sstatus": (MSTATUS_SIE, SSTATUS), "mstatus": (MSTATUS_MIE, ALL)}
FAMILY: dict[str, Semantics] = {
    "system": system,
    **{f"csrr.{name}": read(name) for name in
       "sscratch sepc scause stval stvec mscratch mepc mcause mtval mhartid mstatus".split()},
    "csrr.sstatus": read("mstatus", SSTATUS), "csrr.sie": read("mie", view="mideleg"),
    **{f"csrrw.{name}": write(name) for name in ("sscratch", "mscratch")},
    **{f"csrrw.{name}": write(name, ~1) for name in ("sepc", "mepc")},      # 3.1.14: with C, bit 0 is always zero
    "csrrw.stvec": write("stvec", ~2),                                      # 4.1.2: modes 2 and up are reserved
    **{f"{operation}{'i' * immediate}.{name}": mask_interrupts(bit, visible, operation == "csrrs", immediate)
       for name, (bit, visible) in _MASKS.items() for operation in ("csrrs", "csrrc") for immediate in (False, True)},
}
WITH_WORD = frozenset(name for name in FAMILY if name == "system" or name.startswith(("csrrs", "csrrc")))
