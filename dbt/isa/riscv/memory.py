"""Loads, stores and fences, of integer and floating-point registers (unprivileged manual, RV64I, F, D, Zifencei)."""

from __future__ import annotations

from dragoman.dbt.isa.riscv.recorder import RiscvRecorder, Semantics


def load(size: int, signed: bool = True) -> Semantics:
    return lambda i: i.set("rd", i.load(i.address(), size, signed))


def store(size: int) -> Semantics:
    return lambda i: i.store(i.address(), size, i.x("rs2"))


def load_float(size: int) -> Semantics:
    return lambda i: i.set_f("rd", i.load(i.address(), size).low(8 * size))


def store_float(size: int) -> Semantics:
    """The raw low bits: a store looks at no NaN box."""
    return lambda i: i.store(i.address(), size, i.f("rs2"))


def fence(kind: str) -> Semantics:
    return lambda i: i.fence(kind)


def fence_i(i: RiscvRecorder) -> None:
    """What was translated may be stale: the runtime drops it and goes on behind this instruction."""
    i.trap("code_changed")


FAMILY: dict[str, Semantics] = {
    "lb": load(1), "lbu": load(1, signed=False),
    "lh": load(2), "lhu": load(2, signed=False),
    "lw": load(4), "lwu": load(4, signed=False),
    "ld": load(8),
    "sb": store(1), "sh": store(2), "sw": store(4), "sd": store(8),
    "flw": load_float(4), "fld": load_float(8),
    "fsw": store_float(4), "fsd": store_float(8),
    "fence": fence("full"), "fence.light": fence("light"), "fence.i": fence_i,
}
