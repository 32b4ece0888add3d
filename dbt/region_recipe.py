"""Recipes as regions lower them: single floats as such, the same register named twice seen once, nothing dead.

A region knows more than one instruction does: which registers an instruction names, and often that the upper half of a
floating-point register is all ones (RISC-V's NaN box). So singles live in float registers of the host, not as integers.
Two register files are views of f, each 32 bits wide: "single" is the float in it (reading takes the value for what is not
boxed as third word of the attribute), "low" the bits of its lower half.
"""

from __future__ import annotations

import functools

from dragoman.dbt.recipe import OPS, Op, Recipe

BOX = 0xFFFF_FFFF_0000_0000
CANONICAL = {32: 0x7FC0_0000, 64: 0x7FF8_0000_0000_0000}    # NaNs that regions settle (region_nans.py)
# Whose NaNs are quiet, and settled later. Of fma one is looked for anyway (host/x86_64_float.py), and settled with that.
COMPUTED = frozenset(("fadd", "fsub", "fmul", "fdiv", "fsqrt", "fconvert"))
_KEPT = {"memory", "commit", "end", "fp"}
_PURE = {"fcanon"}                      # among the last


class _Rewriter:
    """Copies a recipe op by op: equal ops become one, patterns become what they mean."""

    def __init__(self, same: dict[str, str]):
        self.same, self.ops, self.known = same, [], {}      # type: ignore[var-annotated]

    def add(self, name: str, bits: int, arguments: tuple[int, ...] = (), attribute: object = None) -> int:
        op = Op(name, bits, arguments, attribute)
        if OPS[name][0] not in ("pure", "read"):
            self.ops.append(op)
            return len(self.ops) - 1
        if op not in self.known:
            self.known[op] = len(self.ops)
            self.ops.append(op)
        return self.known[op]

    def constant(self, index: int) -> int | None:
        op = self.ops[index]
        return int(op.attribute) if op.name == "const" else None        # type: ignore[call-overload]

    def copy(self, op: Op, arguments: tuple[int, ...]) -> int:
        name, bits, attribute = op.name, op.bits, op.attribute
        if name in ("get", "set") and attribute[1] in self.same:         # type: ignore[index]
            attribute = attribute[0], self.same[attribute[1]]            # type: ignore[index]
        rule = getattr(self, "_" + name, None)
        found = rule(bits, attribute, *arguments) if rule else None
        return self.add(name, bits, arguments, attribute) if found is None else found

    # --- rules: the index of what the op comes to, or None
    def _trunc(self, bits: int, attribute: object, a: int) -> int | None:
        op = self.ops[a]
        if op.name in ("zext", "sext") and self.ops[op.arguments[0]].bits == bits:
            return op.arguments[0]
        if op.name == "get" and op.attribute[0] == "f" and bits == 32:
            return self.add("get", 32, (), ("low", op.attribute[1]))
        return None

    def _select(self, bits: int, attribute: object, condition: int, a: int, b: int) -> int | None:
        """A single: boxed ? its low half : a constant."""
        low, test, other = self.ops[a], self.ops[condition], self.constant(b)
        if bits != 32 or low.name != "get" or low.attribute[0] != "low" or test.name != "eq" or other is None:
            return None
        shift = self.ops[test.arguments[0]]
        if self.constant(test.arguments[1]) != BOX >> 32 or shift.name != "lshr" or self.constant(shift.arguments[1]) != 32:
            return None
        if self.ops[shift.arguments[0]] != Op("get", 64, (), ("f", low.attribute[1])):
            return None
        return self.add("get", 32, (), ("single", low.attribute[1], other))

    def _set(self, bits: int, attribute: tuple[str, str], a: int) -> int | None:
        op = self.ops[a]
        if attribute[0] == "f" and op.name == "or" and self.constant(op.arguments[1]) == BOX:
            low = self.ops[op.arguments[0]]
            if low.name == "zext" and self.ops[low.arguments[0]].bits == 32:
                return self.add("set", 0, (self.loose(low.arguments[0]),), ("single", attribute[1]))
        return self.add("set", 0, (self.loose(a),), attribute) if attribute[0] == "f" else None

    def loose(self, index: int) -> int:
        """What is settled later, if at all."""
        op = self.ops[index]
        if op.name == "fcanon" and op.attribute == CANONICAL.get(op.bits) and self.ops[op.arguments[0]].name in COMPUTED:
            return op.arguments[0]
        return index

    def _and(self, bits: int, attribute: object, a: int, b: int) -> int | None:
        return self.add("const", bits, (), 0) if 0 in (self.constant(a), self.constant(b)) else None

    def _xor(self, bits: int, attribute: object, a: int, b: int) -> int | None:
        return self.add("const", bits, (), 0) if a == b else None

    def _or(self, bits: int, attribute: object, a: int, b: int) -> int | None:
        """Halves of one value put together again, as sign injection with one register named twice does."""
        if self.constant(b) == 0:
            return a
        left, right = self.ops[a], self.ops[b]
        if left.name != "and" or right.name != "and":
            return None
        mask, rest = self.constant(left.arguments[1]), self.constant(right.arguments[1])
        if mask is None or rest is None or mask ^ rest != (1 << bits) - 1:
            return None
        value, other = left.arguments[0], self.ops[right.arguments[0]]
        if right.arguments[0] == value:
            return value
        if other.name == "xor" and other.arguments[0] == value and self.constant(other.arguments[1]) == (1 << bits) - 1:
            return self.add("xor", bits, (value, right.arguments[1]))
        return None


@functools.cache
def narrow(recipe: Recipe, rs2_is_rs1: bool) -> Recipe:
    """The same meaning for a region; rs2_is_rs1: both fields name the same register of f."""
    rewriter = _Rewriter({"rs2": "rs1"} if rs2_is_rs1 else {})
    index: list[int] = []
    for op in recipe.ops:
        index.append(rewriter.copy(op, tuple(index[a] for a in op.arguments)))
    return Recipe(_living(rewriter.ops), recipe.fields, recipe.reads, recipe.writes, recipe.ends, recipe.may_trap,
                  recipe.floats)


def _living(ops: list[Op]) -> tuple[Op, ...]:
    """Without what nothing needs."""
    needed = [OPS[op.name][0] in _KEPT and op.name not in _PURE for op in ops]
    for n in range(len(ops) - 1, -1, -1):
        if needed[n]:
            for argument in ops[n].arguments:
                needed[argument] = True
    number = {old: new for new, old in enumerate(n for n, kept in enumerate(needed) if kept)}
    return tuple(op._replace(arguments=tuple(number[a] for a in op.arguments)) for op, kept in zip(ops, needed) if kept)
