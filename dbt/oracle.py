"""Executes a recipe with Python integers: slow, obvious; the living definition of the ops, and what "emulate" runs.

Each op of recipe.OPS has its meaning here in one line or one small method; nothing is shared with lower.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, cast

from dragoman.dbt import softfloat
from dragoman.dbt.recipe import DOWN, DYNAMIC, NEAREST_AWAY, NEAREST_EVEN, STATIC, TO_ZERO, UP, Op, Recipe
from dragoman.dbt.softfloat import FORMATS

# The numbers of the rounding modes in the field "frm" and in the operand rm. Others are reserved.
MODES = (NEAREST_EVEN, TO_ZERO, DOWN, UP, NEAREST_AWAY)
REGISTERS = 33      # with the sink behind the 32


class GuestFault(Exception):
    """A guest address that can't be accessed: what Memory raises. The instruction has committed nothing."""

    def __init__(self, address: int):
        super().__init__(f"guest fault at {address:#x}")
        self.address = address


class Memory(Protocol):
    """Guest memory: little-endian unsigned integers of 1, 2, 4 or 8 bytes at any alignment."""
    def load(self, address: int, size: int) -> int: ...
    def store(self, address: int, size: int, value: int) -> None: ...


def host_clock(kind: str) -> int:
    return time.perf_counter_ns()


@dataclass
class State:
    """Registers of one guest thread, unsigned. x[0] stays 0: records of writes to it name x[32], the sink."""
    x: list[int] = field(default_factory=lambda: [0] * REGISTERS)
    f: list[int] = field(default_factory=lambda: [0] * (REGISTERS - 1))
    # "frm" is the dynamic rounding mode; see state.py for the rest.
    fields: dict[str, int] = field(
        default_factory=lambda: {"frm": 0, "reservation": -1 % 2**64, "reserved_value": 0, "instructions": 0})
    flags: int = 0
    pc: int = 0
    clock: Callable[[str], int] = host_clock


class Outcome(NamedTuple):
    """Where to go on, or why not: pc stays at the instruction if there is a reason (state.EXITS)."""
    pc: int
    reason: str | None = None
    value: int = 0


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def divisor(bits: int, a: int, b: int) -> int:
    """Of a signed division: 0, and -1 under the smallest a, count as 1."""
    overflow = b == (1 << bits) - 1 and a == 1 << bits - 1
    return 1 if b == 0 or overflow else signed(b, bits)


def quotient(a: int, b: int) -> int:
    """To zero, where Python's goes down."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def sdiv(bits: int, a: int, b: int) -> int:
    return quotient(signed(a, bits), divisor(bits, a, b))


def srem(bits: int, a: int, b: int) -> int:
    return signed(a, bits) - sdiv(bits, a, b) * divisor(bits, a, b)


def carry_less(a: int, b: int) -> int:
    """The product of two polynomials over the field of 0 and 1, coefficients as bits."""
    product = 0
    for place in range(b.bit_length()):
        if b >> place & 1:
            product ^= a << place
    return product


# op -> (width of the first argument, arguments) -> result, to be cut to the op's own width
PURE: dict[str, Callable[..., int]] = {
    "add": lambda bits, a, b: a + b, "sub": lambda bits, a, b: a - b, "mul": lambda bits, a, b: a * b,
    "and": lambda bits, a, b: a & b, "or": lambda bits, a, b: a | b, "xor": lambda bits, a, b: a ^ b,
    "mulh_ss": lambda bits, a, b: signed(a, bits) * signed(b, bits) >> bits,
    "mulh_su": lambda bits, a, b: signed(a, bits) * b >> bits,
    "mulh_uu": lambda bits, a, b: a * b >> bits,
    "udiv": lambda bits, a, b: a // (b or 1), "urem": lambda bits, a, b: a % (b or 1),
    "sdiv": sdiv, "srem": srem,
    "shl": lambda bits, a, b: a << b % bits, "lshr": lambda bits, a, b: a >> b % bits,
    "ashr": lambda bits, a, b: signed(a, bits) >> b % bits,
    "rotr": lambda bits, a, b: a >> b % bits | a << bits - b % bits,
    "clmul": lambda bits, a, b: carry_less(a, b), "clmulh": lambda bits, a, b: carry_less(a, b) >> bits,
    "eq": lambda bits, a, b: a == b, "ne": lambda bits, a, b: a != b,
    "ult": lambda bits, a, b: a < b, "uge": lambda bits, a, b: a >= b,
    "slt": lambda bits, a, b: signed(a, bits) < signed(b, bits),
    "sge": lambda bits, a, b: signed(a, bits) >= signed(b, bits),
    "select": lambda bits, a, b, c: b if a else c,
    "trunc": lambda bits, a: a, "zext": lambda bits, a: a, "sext": lambda bits, a: signed(a, bits),
    "ctlz": lambda bits, a: bits - a.bit_length(),
    "cttz": lambda bits, a: (a & -a).bit_length() - 1 if a else bits,
    "ctpop": lambda bits, a: a.bit_count(),
    "bswap": lambda bits, a: int.from_bytes(a.to_bytes(bits // 8, "little"), "big"),
}

# op -> (width of the first argument, width of the result, rounding mode, arguments) -> (result, flags)
FLOAT: dict[str, Callable[..., tuple[int, int]]] = {
    "fadd": lambda bits, to, mode, a, b: softfloat.add(FORMATS[bits], mode, a, b),
    "fsub": lambda bits, to, mode, a, b: softfloat.sub(FORMATS[bits], mode, a, b),
    "fmul": lambda bits, to, mode, a, b: softfloat.mul(FORMATS[bits], mode, a, b),
    "fdiv": lambda bits, to, mode, a, b: softfloat.div(FORMATS[bits], mode, a, b),
    "fsqrt": lambda bits, to, mode, a: softfloat.sqrt(FORMATS[bits], mode, a),
    "fma": lambda bits, to, mode, a, b, c: softfloat.fma(FORMATS[bits], mode, a, b, c),
    "fconvert": lambda bits, to, mode, a: softfloat.convert(FORMATS[bits], FORMATS[to], mode, a),
    "f_to_s": lambda bits, to, mode, a: softfloat.to_integer(FORMATS[bits], mode, a, -1 << to - 1, (1 << to - 1) - 1),
    "f_to_u": lambda bits, to, mode, a: softfloat.to_integer(FORMATS[bits], mode, a, 0, (1 << to) - 1),
    "s_to_f": lambda bits, to, mode, a: softfloat.from_integer(FORMATS[to], mode, signed(a, bits)),
    "u_to_f": lambda bits, to, mode, a: softfloat.from_integer(FORMATS[to], mode, a),
    "feq": lambda bits, to, mode, a, b: softfloat.equal(FORMATS[bits], a, b),
    "flt": lambda bits, to, mode, a, b: softfloat.less(FORMATS[bits], a, b),
    "fle": lambda bits, to, mode, a, b: softfloat.less_or_equal(FORMATS[bits], a, b),
    "flt_quiet": lambda bits, to, mode, a, b: softfloat.less_quiet(FORMATS[bits], a, b),
}
EXACT_WHEN_WIDER = frozenset({"fconvert", "s_to_f", "u_to_f"})
ROUNDED = frozenset({"fadd", "fsub", "fmul", "fdiv", "fsqrt", "fma", "f_to_s", "f_to_u"}) | EXACT_WHEN_WIDER

ATOMIC: dict[str, Callable[[int, int, int], int]] = {
    "swap": lambda bits, old, b: b, "add": lambda bits, old, b: old + b,
    "and": lambda bits, old, b: old & b, "or": lambda bits, old, b: old | b, "xor": lambda bits, old, b: old ^ b,
    "min": lambda bits, old, b: min(old, b, key=lambda v: signed(v, bits)),
    "max": lambda bits, old, b: max(old, b, key=lambda v: signed(v, bits)),
    "umin": lambda bits, old, b: min(old, b), "umax": lambda bits, old, b: max(old, b),
}


class _Execution:
    """One run of one recipe. A method op_<name> for each op that is neither PURE nor FLOAT."""

    def __init__(self, recipe: Recipe, operands: Mapping[str, int], pc: int, next_pc: int, state: State,
                 memory: Memory, emulating: bool):
        self.ops = recipe.ops
        self.operands, self.pc, self.next_pc, self.state, self.memory = operands, pc, next_pc, state, memory
        self.emulating = emulating
        self.flags = 0          # raised so far; the state's only when nothing can trap any more
        self.outcome: Outcome | None = None

    def run(self) -> Outcome:
        values: list[int] = []
        for op in self.ops:
            result = self.step(op, [values[n] for n in op.arguments])
            values.append(result % (1 << op.bits))
            if self.outcome and self.outcome.reason:
                return self.outcome
        self.state.flags |= self.flags
        return self.outcome or Outcome(self.next_pc)

    def width(self, op: Op, argument: int) -> int:
        return self.ops[op.arguments[argument]].bits

    def step(self, op: Op, arguments: list[int]) -> int:
        bits = self.width(op, 0) if arguments else 0
        if op.name in PURE:
            return PURE[op.name](bits, *arguments)
        if op.name in FLOAT:
            mode = self.mode(op, bits)
            if mode is None:
                self.outcome = Outcome(self.pc, "illegal")
                return 0
            result, flags = FLOAT[op.name](bits, op.bits, mode, *arguments)
            self.flags |= flags
            return result
        return getattr(self, "op_" + op.name)(op, *arguments) or 0

    def mode(self, op: Op, bits: int) -> str | None:
        """The rounding mode; None for a reserved one. An op that needs none, or is exact, does not ask."""
        if op.name not in ROUNDED or (op.name in EXACT_WHEN_WIDER and (bits, op.bits) == (32, 64)):
            return NEAREST_EVEN
        if op.attribute not in (DYNAMIC, STATIC):
            return str(op.attribute)
        number = self.operands["rm"] if op.attribute == STATIC else self.state.fields["frm"]
        return MODES[number] if number < len(MODES) else None

    def register(self, attribute: object) -> tuple[list[int], int]:
        """The register file and the number in the operand field."""
        file, name = cast("tuple[str, str]", attribute)
        return {"x": self.state.x, "f": self.state.f}[file], self.operands[name]

    # --- pure and reading
    def op_const(self, op: Op) -> int: return op.attribute      # type: ignore[return-value]
    def op_operand(self, op: Op) -> int: return self.operands[str(op.attribute)]
    def op_pc(self, op: Op) -> int: return self.pc
    def op_next_pc(self, op: Op) -> int: return self.next_pc
    def op_clock(self, op: Op) -> int: return self.state.clock(str(op.attribute))
    def op_get_field(self, op: Op) -> int: return self.state.fields[str(op.attribute)]
    def op_get_flags(self, op: Op) -> int: return self.state.flags | self.flags

    def op_get(self, op: Op) -> int:
        registers, number = self.register(op.attribute)
        return registers[number]

    def op_fcanon(self, op: Op, a: int) -> int:
        return op.attribute if softfloat.is_nan(a, FORMATS[op.bits]) else a     # type: ignore[return-value]

    # --- memory, and what may trap
    def op_load(self, op: Op, address: int) -> int:
        return self.memory.load(address, op.bits // 8)

    def op_store(self, op: Op, address: int, value: int) -> None:
        self.memory.store(address, self.width(op, 1) // 8, value)

    def op_atomic(self, op: Op, address: int, value: int) -> int:
        old = self.memory.load(address, op.bits // 8)
        new = ATOMIC[str(op.attribute)](op.bits, old, value) % (1 << op.bits)
        self.memory.store(address, op.bits // 8, new)
        return old

    def op_cas(self, op: Op, address: int, expected: int, new: int, when: int) -> int:
        size = self.width(op, 1) // 8
        done = when == 1 and self.memory.load(address, size) == expected
        if done:
            self.memory.store(address, size, new)
        return done

    def op_fence(self, op: Op) -> None:
        """One instruction after the other is order enough."""

    def op_trap_if(self, op: Op, condition: int, value: int) -> None:
        if condition and not (op.attribute == "emulate" and self.emulating):
            self.outcome = Outcome(self.pc, str(op.attribute), value)

    # --- commits
    def op_set(self, op: Op, value: int) -> None:
        registers, number = self.register(op.attribute)
        registers[number] = value

    def op_set_field(self, op: Op, value: int) -> None: self.state.fields[str(op.attribute)] = value
    def op_set_flags(self, op: Op, value: int) -> None: self.state.flags = value
    def op_raise_flags(self, op: Op, value: int) -> None: self.state.flags |= value
    def op_set_rounding(self, op: Op, value: int) -> None: self.state.fields["frm"] = value

    # --- ends
    def op_branch(self, op: Op, condition: int) -> None:
        self.outcome = Outcome(self.operands["imm"] % 2**64 if condition else self.next_pc)

    def op_jump(self, op: Op) -> None: self.outcome = Outcome(self.operands["imm"] % 2**64)
    def op_jump_to(self, op: Op, address: int) -> None: self.outcome = Outcome(address)
    def op_trap(self, op: Op, value: int) -> None: self.outcome = Outcome(self.pc, str(op.attribute), value)


def execute(recipe: Recipe, operands: Mapping[str, int], pc: int, next_pc: int, state: State, memory: Memory, *,
            emulating: bool = False) -> Outcome:
    """Run one instruction on `state` (its pc is left alone) and `memory`.

    `operands` has the record's fields that the recipe uses (rd, rs1, ..., imm, rm). With `emulating`, what is left to
    the oracle is done instead of reported: writes of rounding modes that hosts lack. A reserved rounding mode in use is
    reason "illegal". Raises GuestFault as `memory` does.
    """
    return _Execution(recipe, operands, pc, next_pc, state, memory, emulating).run()
