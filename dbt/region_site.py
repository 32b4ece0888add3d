"""IR of one instruction as a template: lowered once per form, then filled in with texts of values per instruction.

Placeholders (str.format): {p} prefix of names; {rs1} {f_rs1} {single_rs1} {low_rs1} values of operands by register file;
{imm} {rm} {pc} {next_pc}; {dbg} number of the instruction's debug location; {flush} lines before the first access; {label} the basic block's name.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from dragoman.dbt.lower import lower
from dragoman.dbt.memory_model import Flat, Model
from dragoman.dbt.natives import region_miss
from dragoman.dbt.recipe import OPS, Form, Recipe
from dragoman.dbt.region_recipe import COMPUTED, narrow
from dragoman.dbt.sites import Lowered, Site

TYPES = {"x": "i64", "f": "double", "single": "float"}
_LABEL = "\1label\2"
_ACCESSES = ("load", "store", "atomicrmw", "cmpxchg")
REFUSED = "region_refused"
# Ops that change, or read, what is not a register, other than loads and raised flags.
FINAL = frozenset(("store", "atomic", "cas", "set_field", "get_field", "set_flags", "get_flags", "set_rounding", "clock"))
NEAT = frozenset(("fcanon", "s_to_f", "u_to_f"))
_CONVERSIONS = ("zext ", "sext ", "bitcast ")


class Leave(NamedTuple):
    """A way out in the middle of an instruction: before anything is committed."""
    label: str
    routine: str
    value: str


class Template(NamedTuple):
    text: str                                   # lines
    tail: str                                   # lines for the end of the function
    results: tuple[tuple[str, str, str], ...]   # (register file, field, value): of type TYPES[file]
    leaves: tuple[Leave, ...]
    calls: tuple[str, ...]                      # routines that it calls and that return (natives.py)
    end: tuple[str, ...]                        # (), branch + condition, jump, jump_to + address + hint, or trap
    label: str                                  # basic block it ends in, "" if it is the one that it began in


class TemplateSite(Site):
    """Values come in as placeholders and go out as results."""

    def __init__(self, low_types: tuple[tuple[str, str], ...], volatile: bool, alone: bool, model: Model):
        super().__init__("\1p\2", _LABEL)
        self.alone = alone
        self.low_types, self.shared, self.model = dict(low_types), volatile, model
        self.calls: list[str] = []
        self.results: list[tuple[str, str, str]] = []
        self.leaves: list[Leave] = []
        self.ending: tuple[str, ...] = ()
        self.pointer = self.loaded = ""

    # --- accesses of guest memory carry their debug location, by which a fault finds the guest pc
    def access(self, address: str, size: int, write: bool) -> str:
        pointer = super().access(address, size, write)
        if not self.model.paged:                # where a host fault is a guest's
            self.pointer = pointer
        return pointer

    def tlb_miss(self, address: str, size: int, write: bool, hit: str) -> None:
        """The routine returns here; if the access is refused, the instruction has done nothing yet."""
        routine, label = region_miss(size, write), f"\1p\2leave{len(self.leaves)}"
        self.set_field("exit_data", address)
        filled = self.emit(f"call preserve_mostcc i64 @{routine}(ptr {self.now['state']})")
        self.do(f"br i1 {self.emit(f'icmp ne i64 {filled}, 0')}, label %{hit}, label %{label}")
        self.calls.append(routine)
        self.leaves.append(Leave(label, REFUSED, "0"))

    def _located(self, text: str) -> str:
        access = self.pointer and text.startswith(_ACCESSES) and f"ptr {self.pointer}," in text
        # The code generator makes one instruction of a load and what converts its value, and keeps the latter's location.
        if access or (self.loaded and text.startswith(_CONVERSIONS) and f" {self.loaded} " in text):
            return f"{text}, !dbg !\1dbg\2"
        return text

    def emit(self, text: str) -> str:
        located = self._located(text)
        name = super().emit(located)
        if located is not text and text.startswith("load "):
            self.loaded = name
        return name

    def do(self, text: str) -> None:
        super().do(self._located(text))

    def opaque(self, text: str, kind: str) -> str:
        """An atomic or with 0 would become a load, which does not fault where only writing is forbidden."""
        return self.emit(f'call {kind} asm "", "=r,0"({kind} {text})')

    def before_trap(self) -> None:
        self.lines.append("\1flush\2")

    # --- operands
    def operand(self, field: str) -> str: return f"\1{field}\2"
    def pc(self) -> str: return "\1pc\2"
    def next_pc(self) -> str: return "\1next_pc\2"

    def get(self, file: str, field: str, other: int = 0) -> Lowered:
        if file == "low":
            return f"\1low_{field}\2", self.low_types[field]
        return f"\1{field if file == 'x' else f'{file}_{field}'}\2", TYPES[file]

    def put(self, file: str, field: str, value: Lowered) -> None:
        text, kind = value
        if kind != TYPES[file]:
            text = self.emit(f"bitcast {kind} {text} to {TYPES[file]}")
        if self.pointer and text.startswith("%"):
            # A statement of no code: folded into what uses it, a load would have the user's pc when it faults.
            text = self.emit(f'call {TYPES[file]} asm "", "={"r" if file == "x" else "x"},0"({TYPES[file]} {text})')
        self.results.append((file, field, text))

    # --- ends
    def branch(self, condition: str) -> None: self.ending = "branch", condition
    def jump(self) -> None: self.ending = ("jump",)
    def jump_to(self, address: str, hint: str, whole: str = "", mask: int = 0) -> None:
        self.ending = "jump_to", address, hint

    def trap(self, reason: str, value: str) -> None:
        label = f"\1p\2leave{len(self.leaves)}"
        self.do(f"br label %{label}")
        self.leaves.append(Leave(label, f"leave_{reason}", value))


def _format(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}").replace("\1", "{").replace("\2", "}")


@functools.cache
def template(form: Form, rs2_is_rs1: bool, low_types: tuple[tuple[str, str], ...], volatile: bool, alone: bool = False,
             model: Model = Flat, counts: bool = False) -> Template:
    """`low_types`: type (i32 or float) of each "low" operand, by field. alone: nobody else sees memory. counts: for the counting build."""
    site = TemplateSite(low_types, volatile, alone, model)
    if counts:
        site.count_form(form)
    recipe = narrow(form.recipe, rs2_is_rs1)
    lower(recipe, site)
    end = site.ending or (("trap",) if recipe.ends == "trap" else ())
    return Template(_format("\n".join(site.lines)), _format("\n".join(site.tail)),
                    tuple((file, field, _format(text)) for file, field, text in site.results),
                    tuple(Leave(_format(label), routine, _format(value)) for label, routine, value in site.leaves), tuple(site.calls),
                    tuple(map(_format, end)), "" if site.label == _LABEL else _format(site.label))


class Use(NamedTuple):
    """What a form reads and writes, by register file and field, as regions see it; `other` is for singles not boxed."""
    x: tuple[str, ...]
    f: tuple[str, ...]
    single: tuple[str, ...]
    low: tuple[str, ...]
    writes: tuple[tuple[str, str], ...]
    loose: frozenset[tuple[str, str]]   # of what is read, where one quiet NaN does as well as another; and those of the next two
    makes: str                  # what it writes to f: "loose", "neat" (no loose NaN), "copy" of what it reads, or what has "bits" of its own
    stored: frozenset[tuple[str, str]]  # of what is read, what is only stored
    other: int
    leaves: bool                # has ways out in the middle
    accesses: bool              # may trap: loads, stores, trap_if
    final: bool                 # cannot be done a second time with the same result
    stores: bool                # but it can, if what it stores to has not been read since: it stores, and does nothing else


@functools.cache
def use(form: Form, rs2_is_rs1: bool) -> Use:
    recipe = narrow(form.recipe, rs2_is_rs1)
    reads: dict[str, dict[str, None]] = {"x": {}, "f": {}, "single": {}, "low": {}}
    other = 0
    for op in recipe.ops:
        if op.name == "get":
            reads[op.attribute[0]][op.attribute[1]] = None               # type: ignore[index]
            if op.attribute[0] == "single":                              # type: ignore[index]
                other = op.attribute[2]                                  # type: ignore[index]
    writes = tuple(op.attribute for op in recipe.ops if op.name == "set")
    names = {op.name for op in recipe.ops}
    loose = frozenset(op.attribute[:2] for n, op in enumerate(recipe.ops) if op.name == "get" and _is_loose(recipe, n))   # type: ignore[index]
    stored = frozenset(op.attribute[:2] for n, op in enumerate(recipe.ops) if op.name == "get" and _is_stored(recipe, n))   # type: ignore[index]
    return Use(*(tuple(reads[file]) for file in ("x", "f", "single", "low")), writes, loose, _makes(recipe), stored, other,  # type: ignore
               any(op.name in ("trap_if", "trap") for op in recipe.ops), recipe.may_trap,
               not FINAL.isdisjoint(names), names & (FINAL | {"load"}) == {"store"})


def _is_stored(recipe: Recipe, index: int) -> bool:
    """Whether a value goes to memory, and nowhere else."""
    users = [op for op in recipe.ops if index in op.arguments]
    return all((op.name == "store" and op.arguments[0] != index) or (op.name == "trunc" and _is_stored(recipe, recipe.ops.index(op))) for op in users)


def _is_loose(recipe: Recipe, index: int) -> bool:
    """Whether a value is only computed with, or copied to f."""
    for op in recipe.ops:
        if index not in op.arguments or OPS[op.name][0] == "fp" or (op.name == "set" and _makes(recipe) == "copy"):
            continue
        sign = recipe.ops[op.arguments[1]] if op.name == "xor" else None
        if sign is None or sign.attribute != 1 << op.bits - 1 or not _is_loose(recipe, recipe.ops.index(op)):
            return False
    return True


def _makes(recipe: Recipe) -> str:
    for op in recipe.ops:
        if op.name == "set" and op.attribute[0] != "x":         # type: ignore[index]
            value = recipe.ops[op.arguments[0]]
            if value.name == "get" and value.attribute[0] == op.attribute[0]:      # type: ignore[index]
                return "copy"
            return "loose" if value.name in COMPUTED else "neat" if value.name in NEAT else "bits"
    return ""
