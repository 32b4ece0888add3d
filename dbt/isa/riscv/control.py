"""Jumps, branches, and what leaves for the runtime: ecall, ebreak, and records that are no instruction."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.dbt.isa.riscv.recorder import RiscvRecorder, Semantics
from dragoman.dbt.recipe import Value


def branch(compare: Callable[[Value, Value], Value]) -> Semantics:
    return lambda i: i.branch(compare(i.x("rs1"), i.x("rs2")))


def j(i: RiscvRecorder) -> None:
    i.jump()


def jal(i: RiscvRecorder) -> None:
    i.set("rd", i.next_pc())
    i.jump()


def jump_register(hint: str) -> Semantics:
    return lambda i: i.jump_to(i.address() & -2, hint)


def jalr(i: RiscvRecorder) -> None:
    target = i.address() & -2       # before rd is written: rd may be rs1
    i.set("rd", i.next_pc())
    i.jump_to(target, "call")


def leave(reason: str) -> Semantics:
    return lambda i: i.trap(reason)


FAMILY: dict[str, Semantics] = {
    "beq": branch(Value.eq), "bne": branch(Value.ne),
    "blt": branch(Value.slt), "bge": branch(Value.sge),
    "bltu": branch(Value.ult), "bgeu": branch(Value.uge),
    "j": j, "jal": jal,
    "jalr": jalr, "jr": jump_register("jump"), "ret": jump_register("return"),
    "ecall": leave("syscall"), "ebreak": leave("breakpoint"),
    "illegal": leave("illegal"),        # bytes that are no instruction
    "fetch": leave("fetch"),            # bytes that are not in executable memory
    "emulate": leave("emulate"),        # an instruction that rounds to nearest, ties away, by its own rm
}
