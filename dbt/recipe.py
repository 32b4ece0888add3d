"""The vocabulary of meaning: a semantic function run once with a Recorder leaves a recipe, a flat list of typed ops.

Every consumer (oracle, interpreter, stencils, regions) reads the same recipe, so an instruction has one definition.
All values are integers of a known width; floating-point values are their bit patterns. What an op means is stated once,
in OPS below; oracle.py computes it with Python integers, lower.py emits it as LLVM IR.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

# Rounding modes as recipes name them; DYNAMIC is whatever the guest has set (set_rounding).
# STATIC is the mode in the instruction's own operand field rm, 0..3 in the order of the first four.
NEAREST_EVEN, TO_ZERO, DOWN, UP, NEAREST_AWAY, DYNAMIC, STATIC = "rne", "rtz", "rdn", "rup", "rmm", "dyn", "static"
# Floating-point exception flags, in the order of IEEE 754's own list read from bit 4 down.
INEXACT, UNDERFLOW, OVERFLOW, DIVIDE_BY_ZERO, INVALID = 1, 2, 4, 8, 16

# op -> (kind, meaning). Kinds: pure; read (of state); memory (may trap); commit (of state); end (leaves the instruction).
OPS: dict[str, tuple[str, str]] = {
    "const": ("pure", "the integer `attribute`"),
    "operand": ("pure", "operand field `attribute` of the instruction (imm, ...) as 64 bits"),
    "pc": ("pure", "address of this instruction"),
    "next_pc": ("pure", "address of the instruction behind this one"),
    "add": ("pure", "a + b"), "sub": ("pure", "a - b"), "mul": ("pure", "a * b, low half"),
    "and": ("pure", "a & b"), "or": ("pure", "a | b"), "xor": ("pure", "a ^ b"),
    "mulh_ss": ("pure", "high half of signed a * signed b"),
    "mulh_su": ("pure", "high half of signed a * unsigned b"),
    "mulh_uu": ("pure", "high half of unsigned a * unsigned b"),
    "udiv": ("pure", "unsigned a / b; a divisor of 0 counts as 1"),
    "urem": ("pure", "unsigned remainder; a divisor of 0 counts as 1"),
    "sdiv": ("pure", "signed a / b to zero; a divisor of 0, and -1 under the smallest a, count as 1"),
    "srem": ("pure", "signed remainder, sign of a; a divisor of 0, and -1 under the smallest a, count as 1"),
    "shl": ("pure", "a << (b mod width)"), "lshr": ("pure", "unsigned a >> (b mod width)"),
    "ashr": ("pure", "signed a >> (b mod width)"),
    "rotr": ("pure", "a rotated to the right by (b mod width)"),
    "clmul": ("pure", "carry-less a * b (sums are exclusive ors), low half"), "clmulh": ("pure", "the same, high half"),
    "eq": ("pure", "1 bit"), "ne": ("pure", "1 bit"), "ult": ("pure", "1 bit"), "uge": ("pure", "1 bit"),
    "slt": ("pure", "1 bit"), "sge": ("pure", "1 bit"),
    "select": ("pure", "a (1 bit) ? b : c"),
    "trunc": ("pure", "the low `bits` of a"), "sext": ("pure", "a widened as signed"), "zext": ("pure", "a widened with 0"),
    "ctlz": ("pure", "number of leading zeros (width for 0)"), "cttz": ("pure", "number of trailing zeros (width for 0)"),
    "ctpop": ("pure", "number of ones"), "bswap": ("pure", "bytes in reverse order"),
    "clock": ("pure", "a counter that never goes back; attribute cycle, time or instret (exact only in the counting build)"),
    # Floating point: rounding mode is `attribute`; exception flags are raised in the guest's flags. NaN results of fadd ..
    # fconvert may be any quiet NaN: follow with fcanon.
    "fadd": ("fp", "a + b"), "fsub": ("fp", "a - b"), "fmul": ("fp", "a * b"), "fdiv": ("fp", "a / b"),
    "fsqrt": ("fp", "square root"),
    "fma": ("fp", "a * b + c, rounded once; infinity * 0 raises invalid even if c is a quiet NaN"),
    "fconvert": ("fp", "a in the other width (32 or 64 `bits`)"),
    "fcanon": ("fp", "a, or the bit pattern `attribute` if a is a NaN; raises nothing"),
    "feq": ("fp", "1 bit: a == b, quiet (only a signalling NaN raises invalid)"),
    "flt": ("fp", "1 bit: a < b, any NaN raises invalid"), "fle": ("fp", "1 bit: a <= b, any NaN raises invalid"),
    "flt_quiet": ("fp", "1 bit: a < b, quiet"),
    "f_to_s": ("fp", "a rounded to a signed integer of `bits`; NaN and too large: largest, too small: smallest, with invalid"),
    "f_to_u": ("fp", "the same, unsigned: NaN and too large: largest, negative beyond rounding: 0, with invalid"),
    "s_to_f": ("fp", "signed integer a to a float of `bits`"), "u_to_f": ("fp", "unsigned integer a to a float of `bits`"),
    # State. get/set: attribute = (register file, operand field); get_field/set_field: attribute = name of a state field.
    "get": ("read", "register `attribute`"), "get_field": ("read", "64-bit field of the CPU state"),
    "get_flags": ("read", "the raised exception flags, 64 bits"),
    "set": ("commit", "register `attribute` = a"), "set_field": ("commit", "field of the CPU state = a"),
    "set_flags": ("commit", "exception flags = a"), "raise_flags": ("commit", "exception flags |= a"),
    "set_rounding": ("commit", "dynamic rounding mode = a: 0 rne, 1 rtz, 2 rdn, 3 rup (others: unchanged)"),
    # Memory: little endian, any alignment. attribute: see each.
    "load": ("memory", "`bits` at address a, not widened"),
    "store": ("memory", "b at address a, b's own width"),
    "atomic": ("memory", "old value at a; memory becomes old OP b (attribute: swap add and or xor max min umax umin), "
                         "sequentially consistent"),
    "cas": ("memory", "1 bit: if d (1 bit) and memory at a is b, it becomes c: done; sequentially consistent"),
    "fence": ("memory", "attribute: full (orders all) or light (orders all but store before load)"),
    "trap_if": ("memory", "if a (1 bit): leave with reason `attribute` and value b, nothing committed"),
    # Ends: leave the instruction; at most one, last.
    "branch": ("end", "if a (1 bit): to operand `imm` (absolute), else to next_pc"),
    "jump": ("end", "to operand `imm` (absolute)"),
    "jump_to": ("end", "to address a; attribute: call, return or jump, a hint"),
    "trap": ("end", "leave with reason `attribute` and value a; the pc stays at this instruction"),
}


class Op(NamedTuple):
    """One operation: `arguments` are indices of earlier ops, `bits` the width of the result (0: none)."""
    name: str
    bits: int
    arguments: tuple[int, ...] = ()
    attribute: object = None


class RecipeError(Exception):
    """A semantic function broke a rule; our bug, found when the recipe is recorded."""


class Value:
    """A result of an op. Operators record further ops; an int operand becomes a constant of the same width."""
    __slots__ = ("recorder", "index", "bits")

    def __init__(self, recorder: Recorder, index: int, bits: int):
        self.recorder, self.index, self.bits = recorder, index, bits

    def __bool__(self) -> bool:
        raise RecipeError("a guest value has no truth in Python: use select, branch or trap_if")

    def _pair(self, name: str, other: Value | int, bits: int | None = None) -> Value:
        b = self.recorder.value(other, self.bits)
        if b.bits != self.bits:
            raise RecipeError(f"{name} of {self.bits} and {b.bits} bits")
        return self.recorder.op(name, self.bits if bits is None else bits, self, b)

    def __add__(self, other: Value | int) -> Value: return self._pair("add", other)
    def __sub__(self, other: Value | int) -> Value: return self._pair("sub", other)
    def __mul__(self, other: Value | int) -> Value: return self._pair("mul", other)
    def __and__(self, other: Value | int) -> Value: return self._pair("and", other)
    def __or__(self, other: Value | int) -> Value: return self._pair("or", other)
    def __xor__(self, other: Value | int) -> Value: return self._pair("xor", other)
    def __invert__(self) -> Value: return self._pair("xor", -1)
    def __neg__(self) -> Value: return self.recorder.const(0, self.bits) - self
    def mulh(self, other: Value, signs: str) -> Value: return self._pair("mulh_" + signs, other)
    def udiv(self, other: Value) -> Value: return self._pair("udiv", other)
    def urem(self, other: Value) -> Value: return self._pair("urem", other)
    def sdiv(self, other: Value) -> Value: return self._pair("sdiv", other)
    def srem(self, other: Value) -> Value: return self._pair("srem", other)
    def shl(self, other: Value | int) -> Value: return self._pair("shl", other)
    def lshr(self, other: Value | int) -> Value: return self._pair("lshr", other)
    def ashr(self, other: Value | int) -> Value: return self._pair("ashr", other)
    def rotr(self, other: Value | int) -> Value: return self._pair("rotr", other)
    def clmul(self, other: Value) -> Value: return self._pair("clmul", other)
    def clmulh(self, other: Value) -> Value: return self._pair("clmulh", other)
    def eq(self, other: Value | int) -> Value: return self._pair("eq", other, 1)
    def ne(self, other: Value | int) -> Value: return self._pair("ne", other, 1)
    def ult(self, other: Value | int) -> Value: return self._pair("ult", other, 1)
    def uge(self, other: Value | int) -> Value: return self._pair("uge", other, 1)
    def slt(self, other: Value | int) -> Value: return self._pair("slt", other, 1)
    def sge(self, other: Value | int) -> Value: return self._pair("sge", other, 1)

    def low(self, bits: int) -> Value:
        """The low `bits` as a value of that width."""
        return self if bits == self.bits else self.recorder.op("trunc", bits, self)

    def widen(self, bits: int, signed: bool = False) -> Value:
        """The same number in `bits`, at least its own width."""
        return self if bits == self.bits else self.recorder.op("sext" if signed else "zext", bits, self)

    def sext(self, bits: int) -> Value:
        """The low `bits` as a signed number, in this value's width."""
        return self.low(bits).widen(self.bits, signed=True)

    def zext(self, bits: int) -> Value:
        """The low `bits` as an unsigned number, in this value's width."""
        return self.low(bits).widen(self.bits)

    def count(self, name: str) -> Value:
        """ctlz, cttz, ctpop or bswap."""
        return self.recorder.op(name, self.bits, self)


@dataclass(frozen=True)
class Recipe:
    """What one instruction form does. `fields`: operand fields used; `reads`, `writes`: (register file, field)."""
    ops: tuple[Op, ...]
    fields: frozenset[str]
    reads: tuple[tuple[str, str], ...]
    writes: tuple[tuple[str, str], ...]
    ends: str | None            # branch, jump, jump_to, trap, or None: goes on to next_pc
    may_trap: bool              # loads, stores, atomics, trap_if: can leave in the middle
    floats: bool


class Recorder:
    """Collects the ops of one semantic function, checking the rules of order as they come.

    Order: reads and computation, then what may trap, then commits. A commit may be followed by neither a read of state
    nor anything that may trap, so traps are precise by construction.
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._constants: dict[tuple[int, int], Value] = {}
        self._committed = self._ended = False

    def op(self, name: str, bits: int, *arguments: Value, attribute: object = None) -> Value:
        kind = OPS[name][0]
        if self._ended:
            raise RecipeError(f"{name} after the end of the instruction")
        if self._committed and kind in ("read", "memory", "fp"):
            raise RecipeError(f"{name} after a commit: read, compute, may-trap, commit")
        self._committed |= kind == "commit"
        self._ended = kind == "end"
        self.ops.append(Op(name, bits, tuple(a.index for a in arguments), attribute))
        return Value(self, len(self.ops) - 1, bits)

    def const(self, value: int, bits: int = 64) -> Value:
        value &= (1 << bits) - 1
        if (value, bits) not in self._constants:
            self._constants[value, bits] = self.op("const", bits, attribute=value)
        return self._constants[value, bits]

    def value(self, value: Value | int, bits: int = 64) -> Value:
        return value if isinstance(value, Value) else self.const(value, bits)

    # --- operands and state
    def imm(self, field: str = "imm") -> Value: return self.op("operand", 64, attribute=field)
    def pc(self) -> Value: return self.op("pc", 64)
    def next_pc(self) -> Value: return self.op("next_pc", 64)
    def get(self, file: str, field: str) -> Value: return self.op("get", 64, attribute=(file, field))
    def clock(self, kind: str) -> Value: return self.op("clock", 64, attribute=kind)
    def field(self, name: str) -> Value: return self.op("get_field", 64, attribute=name)
    def set_field(self, name: str, value: Value | int) -> None: self._commit("set_field", value, name)
    def flags(self) -> Value: return self.op("get_flags", 64)
    def set_flags(self, value: Value) -> None: self._commit("set_flags", value)
    def raise_flags(self, value: Value) -> None: self._commit("raise_flags", value)
    def set_rounding(self, value: Value) -> None: self._commit("set_rounding", value)

    def put(self, file: str, field: str, value: Value | int) -> None:
        self._commit("set", value, (file, field))

    def _commit(self, name: str, value: Value | int, attribute: object = None) -> None:
        value = self.value(value)
        if value.bits != 64:
            raise RecipeError(f"{name} takes 64 bits, not {value.bits}")
        self.op(name, 0, value, attribute=attribute)

    # --- choice
    def select(self, condition: Value, then: Value | int, other: Value | int, bits: int = 64) -> Value:
        bits = next((v.bits for v in (then, other) if isinstance(v, Value)), bits)
        a, b = self.value(then, bits), self.value(other, bits)
        if condition.bits != 1 or a.bits != b.bits:
            raise RecipeError(f"select by {condition.bits} bits of {a.bits} and {b.bits}")
        return self.op("select", bits, condition, a, b)

    # --- floating point
    def fp(self, name: str, *values: Value, rounding: str = DYNAMIC) -> Value:
        """fadd, fsub, fmul, fdiv, fsqrt, fma on values of one width; comparisons give one bit."""
        if len({v.bits for v in values}) != 1 or values[0].bits not in (32, 64):
            raise RecipeError(f"{name} of {[v.bits for v in values]} bits")
        bits = 1 if name in ("feq", "flt", "fle", "flt_quiet") else values[0].bits
        return self.op(name, bits, *values, attribute=rounding)

    def fp_convert(self, name: str, value: Value, bits: int, rounding: str = DYNAMIC) -> Value:
        """fconvert, f_to_s, f_to_u, s_to_f, u_to_f to `bits`."""
        return self.op(name, bits, value, attribute=rounding)

    def canonical(self, value: Value, nan: int) -> Value:
        return self.op("fcanon", value.bits, value, attribute=nan)

    # --- memory
    def load(self, address: Value, size: int, signed: bool = False) -> Value:
        """`size` bytes at address, widened to 64 bits."""
        return self.op("load", 8 * size, address).widen(64, signed)

    def store(self, address: Value, size: int, value: Value) -> None:
        self.op("store", 0, address, value.low(8 * size))

    def atomic(self, operation: str, address: Value, size: int, value: Value) -> Value:
        """The old value, sign-extended to 64 bits."""
        return self.op("atomic", 8 * size, address, value.low(8 * size), attribute=operation).widen(64, signed=True)

    def compare_and_swap(self, address: Value, size: int, expected: Value, new: Value, when: Value) -> Value:
        """One bit: done. Memory is not touched unless `when`."""
        return self.op("cas", 1, address, expected.low(8 * size), new.low(8 * size), when)

    def fence(self, kind: str = "full") -> None: self.op("fence", 0, attribute=kind)

    # --- leaving
    def trap_if(self, condition: Value, reason: str, value: Value | int = 0) -> None:
        self.op("trap_if", 0, condition, self.value(value), attribute=reason)

    def branch(self, condition: Value) -> None: self.op("branch", 0, condition)
    def jump(self) -> None: self.op("jump", 0)
    def jump_to(self, address: Value, hint: str = "jump") -> None: self.op("jump_to", 0, address, attribute=hint)
    def trap(self, reason: str, value: Value | int = 0) -> None:
        self.op("trap", 0, self.value(value), attribute=reason)

    def recipe(self) -> Recipe:
        """The finished list, with what engines need to know of it."""
        fields = {o.attribute for o in self.ops if o.name == "operand"}
        fields |= {o.attribute[1] for o in self.ops if o.name in ("get", "set")}    # type: ignore[index]
        last = self.ops[-1].name if self.ops else ""
        ends = last if last and OPS[last][0] == "end" else None
        if ends in ("branch", "jump"):
            fields.add("imm")
        if any(o.attribute == STATIC for o in self.ops):
            fields.add("rm")
        pick = lambda name: tuple(dict.fromkeys(o.attribute for o in self.ops if o.name == name))
        return Recipe(tuple(self.ops), frozenset(fields), pick("get"), pick("set"), ends,       # type: ignore[arg-type]
                      any(OPS[o.name][0] == "memory" and o.name != "fence" for o in self.ops),
                      any(OPS[o.name][0] == "fp" or "flags" in o.name or o.name == "set_rounding" for o in self.ops))


@dataclass(frozen=True)
class Form:
    """An instruction form: its name and number, and its recipe. Numbers are dense; records carry them. counter: field of the state
    in which the counting build counts its executions."""
    name: str
    number: int
    recipe: Recipe
    counter: str = ""


def record(semantics: Callable[..., None], recorder: Recorder) -> Recipe:
    """Run a semantic function once and take its recipe."""
    semantics(recorder)
    return recorder.recipe()
