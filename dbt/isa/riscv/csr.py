"""Zicsr as user mode sees it: fflags, frm, fcsr (frm << 5 | fflags) and the counters cycle, time and instret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dragoman.dbt.isa.riscv.recorder import RiscvRecorder, Semantics
from dragoman.dbt.recipe import Value

Source = Callable[[RiscvRecorder], Value]
Combine = Callable[[Value, Value], Value]

FLAGS, MODE_SHIFT, MODE = 0x1F, 5, 7
FIRST_MODE_HOSTS_LACK = 4       # rmm, and 5..7 which are reserved


@dataclass(frozen=True)
class Csr:
    """A combination of the exception flags and the dynamic rounding mode; one of them at least."""
    flags: bool
    mode: bool

    def read(self, i: RiscvRecorder) -> Value:
        if self.flags and self.mode:
            return i.field("frm").shl(MODE_SHIFT) | i.flags()
        return i.flags() if self.flags else i.field("frm")

    def write(self, i: RiscvRecorder, value: Value, old: Value) -> None:
        """`value` into this register and `old` into rd. A mode that a host lacks is for the oracle."""
        if self.mode:
            mode = (value.lshr(MODE_SHIFT) if self.flags else value) & MODE
            i.trap_if(mode.uge(FIRST_MODE_HOSTS_LACK), "emulate")
            i.set_field("frm", mode)
            i.set_rounding(mode)
        if self.flags:
            i.set_flags(value & FLAGS)
        i.set("rd", old)


def read_only(csr: Csr) -> Semantics:
    return lambda i: i.set("rd", csr.read(i))


def counter(kind: str) -> Semantics:
    return lambda i: i.set("rd", i.clock(kind))


def read_write(csr: Csr, source: Source, combine: Combine) -> Semantics:
    def run(i: RiscvRecorder) -> None:
        old = csr.read(i)
        csr.write(i, combine(old, source(i)), old)
    return run


CSRS = {"fflags": Csr(flags=True, mode=False), "frm": Csr(flags=False, mode=True), "fcsr": Csr(flags=True, mode=True)}
SOURCES: dict[str, Source] = {"": lambda i: i.x("rs1"), "i": lambda i: i.imm()}
COMBINE: dict[str, Combine] = {
    "csrrw": lambda old, new: new, "csrrs": lambda old, ones: old | ones, "csrrc": lambda old, ones: old & ~ones}

FAMILY: dict[str, Semantics] = {
    **{f"csrr.{name}": read_only(csr) for name, csr in CSRS.items()},
    **{f"csrr.{kind}": counter(kind) for kind in ("cycle", "time", "instret")},
    **{f"{access}{immediate}.{name}": read_write(csr, source, combine) for access, combine in COMBINE.items()
       for immediate, source in SOURCES.items() for name, csr in CSRS.items()},
}
