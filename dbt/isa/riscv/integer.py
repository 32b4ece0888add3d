"""RV64I computation: register with register and register with immediate (unprivileged manual, RV32I and RV64I)."""

from __future__ import annotations

import operator
from collections.abc import Callable

from dragoman.dbt.isa.riscv.recorder import RiscvRecorder, Semantics
from dragoman.dbt.recipe import Value

Compute = Callable[[Value, Value], Value]


def with_register(compute: Compute) -> Semantics:
    return lambda i: i.set("rd", compute(i.x("rs1"), i.x("rs2")))


def with_immediate(compute: Compute) -> Semantics:
    return lambda i: i.set("rd", compute(i.x("rs1"), i.imm()))


def word(compute: Compute) -> Compute:
    """The W variants: on the low 32 bits, the result sign-extended."""
    return lambda a, b: compute(a.low(32), b.low(32)).widen(64, signed=True)


def li(i: RiscvRecorder) -> None:
    """lui and auipc: the decoder has computed the value."""
    i.set("rd", i.imm())


def nop(i: RiscvRecorder) -> None:
    pass


def slt(a: Value, b: Value) -> Value:
    return a.slt(b).widen(64)


def sltu(a: Value, b: Value) -> Value:
    return a.ult(b).widen(64)


FAMILY: dict[str, Semantics] = {
    "nop": nop,
    "li": li,
    "add": with_register(operator.add), "addi": with_immediate(operator.add),
    "sub": with_register(operator.sub),
    "and": with_register(operator.and_), "andi": with_immediate(operator.and_),
    "or": with_register(operator.or_), "ori": with_immediate(operator.or_),
    "xor": with_register(operator.xor), "xori": with_immediate(operator.xor),
    "sll": with_register(Value.shl), "slli": with_immediate(Value.shl),
    "srl": with_register(Value.lshr), "srli": with_immediate(Value.lshr),
    "sra": with_register(Value.ashr), "srai": with_immediate(Value.ashr),
    "slt": with_register(slt), "slti": with_immediate(slt),
    "sltu": with_register(sltu), "sltiu": with_immediate(sltu),
    "addw": with_register(word(operator.add)), "addiw": with_immediate(word(operator.add)),
    "subw": with_register(word(operator.sub)),
    "sllw": with_register(word(Value.shl)), "slliw": with_immediate(word(Value.shl)),
    "srlw": with_register(word(Value.lshr)), "srliw": with_immediate(word(Value.lshr)),
    "sraw": with_register(word(Value.ashr)), "sraiw": with_immediate(word(Value.ashr)),
}
