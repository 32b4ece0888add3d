"""Builds the stencil library: each form compiled once per shape, with link-time holes where operands go.

A shape says where each operand is: in the CPU state, the zero register, or a pinned slot. `add a0, a5, a4` becomes one
lea; with operands in memory it is a load, an add and a store. The copier chooses, copies and patches.
Holes are dso_local externals with an `absolute_symbol` range, so that LLVM folds them into displacements and immediates.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from dragoman.dbt import llvm
from dragoman.dbt.host import elf
from dragoman.dbt.host.x86_64_constant import by_constant
from dragoman.dbt.host.x86_64_short import shortest
from dragoman.dbt.lower import METADATA, lower
from dragoman.dbt.memory_model import Flat, Model, miss_name
from dragoman.dbt.natives import NativeSite, code_of, probe
from dragoman.dbt.recipe import Form, Recorder, record
from dragoman.dbt.sites import ARGUMENT_TYPES, CONVENTION, PINS, Lowered, function
from dragoman.dbt.state import NATIVES, OFFSET, SINK, register_offset
from dragoman.dbt.stencil_layout import (
    BYTE,
    CALLS,
    HEADER_SIZE,
    HOLE_FORMAT,
    HOLE_NUMBERS,
    KINDS_OF_END,
    LIBRARY,
    MAY_TRAP,
    MEMORY,
    NO_VARIANT,
    NOT,
    NOTHING,
    OTHER_SHIFT,
    RD_IS_X,
    RETURNS,
    RS1_IS_X,
    RS2_IS_X,
    SHORT,
    SLOT,
    STENCIL_FORMAT,
    WIDE,
    WIDE_VARIANT,
    ZERO,
    ZERO_VARIANT,
)

PINNED_FILE = "x"
# hole symbol -> range it can have, as an absolute_symbol
_LOW, _SIGNED, _ANY = "!{i64 0, i64 2147483647}", "!{i64 -2147483648, i64 2147483647}", "!{i64 -1, i64 -1}"
HOLES = {"rd": _LOW, "rs1": _LOW, "rs2": _LOW, "rs3": _LOW, "imm": _SIGNED, "rm": _LOW, "next_pc": _LOW, "pc": _LOW,
         "imm_wide": _ANY, "next_pc_wide": _ANY, "pc_wide": _ANY}
JUMP_OPCODE = 0xE9
MOVE = "move"                       # name of the pseudo-form rd = rs1


class StencilSite(NativeSite):
    """Operands are where the shape says; a write to a slot renames the argument that is passed on."""

    def __init__(self, pinned: tuple[int, ...], form: Form, shape: tuple[int, int, int], model: Model = Flat,
                 wide: bool = False, zero: bool = False):
        """wide: holes have 64 bits. zero: the immediate is 0."""
        super().__init__(pinned, model)
        # LLVM would fold a register's load into the operation and then need a register for the immediate.
        # A statement of no code between them keeps the load apart.
        self.keep = "imm" in form.recipe.fields and not zero
        self.place = dict(zip(("rd", "rs1", "rs2"), shape))
        self.wide, self.zero = "_wide" if wide else "", zero
        self.now |= {"target": "undef", "free": "undef"}

    def hole(self, symbol: str) -> str:
        if symbol.endswith("_wide"):    # LLVM takes any address for 32 bits in this code model: say what is wanted
            return self.emit(f'call i64 asm "movabsq $1, $0", "=r,i"(ptr @{symbol})')
        return f"ptrtoint (ptr @{symbol} to i64)"

    def operand(self, field: str) -> str:
        return "0" if self.zero and field == "imm" else self.hole(field + (self.wide if field == "imm" else ""))

    def by_operand(self, op: str, bits: int, value: str, field: str) -> str | None:
        return by_constant(self, op, bits, value, field) if field == "imm" and not self.zero else None

    def pc(self) -> str: return self.hole("pc_wide")
    def next_pc(self) -> str: return self.hole("next_pc" + self.wide)

    def register(self, file: str, field: str) -> str:
        return self.emit(f"getelementptr i8, ptr {self.at_state(register_offset(file, 0))}, i64 {self.hole(field)}")

    def get(self, file: str, field: str) -> Lowered:
        place = self.place.get(field, MEMORY) if file == PINNED_FILE else MEMORY
        if place == ZERO:
            return "0", "i64"
        if place >= SLOT:
            return f"%{PINS[place - SLOT]}", "i64"      # as it came: reads precede writes
        value = self.emit(f"load i64, ptr {self.register(file, field)}, align 8")
        return (self.emit(f'call i64 asm "", "=r,0"(i64 {value})') if self.keep else value), "i64"

    def put(self, file: str, field: str, value: Lowered) -> None:
        place = self.place[field] if file == PINNED_FILE else MEMORY
        if place >= SLOT:
            self.now[PINS[place - SLOT]] = value[0]
        else:
            self.do(f"store {value[1]} {value[0]}, ptr {self.register(file, field)}, align 8")

    def tlb_miss(self, address: str, size: int, write: bool, hit: str) -> None:
        """The copier makes a stub for it that says where to begin again; so this becomes one conditional jump."""
        self.go(f"@{miss_name(size, write)}", target=address, free="undef", **{slot: f"%{slot}" for slot in PINS})

    def jump(self) -> None:
        self.go("@target")

    def branch(self, condition: str) -> None:
        self.do(f"br i1 {condition}, label %taken, label %next")
        self.start("taken")
        self.jump()
        self.start("next")
        self.go("@next_stencil")

    def jump_to(self, address: str, hint: str, whole: str = "", mask: int = 0) -> None:
        """A jump-cache probe at each site, so that the host predicts each guest jump by itself. It finds no address with a bit
        more than what `mask` leaves, so masking waits until nothing is found."""
        target = whole or address

        def masked() -> str:
            return self.emit(f"and i64 {whole}, {mask}") if whole else address

        if hint != "return":            # a loop needs a jump or a call: returns are not counted
            pointer = self.at_state(OFFSET["budget"])
            left = self.emit(f"sub i32 {self.emit(f'load i32, ptr {pointer}, align 8')}, 1")
            self.do(f"store i32 {left}, ptr {pointer}, align 8")
            self.do(f"br i1 {self.emit(f'icmp slt i32 {left}, 0')}, label %poll, label %on, !prof !0")
            self.start("poll")
            to = masked()
            self.go("@poll", target=to, free=self.emit(f"inttoptr i64 {to} to ptr"))
            self.start("on")
        entry, hit = probe(self, target)
        self.do(f"br i1 {hit}, label %found, label %missed")
        self.start("missed")
        self.go("@miss", target=masked())
        self.start("found")
        self.go(code_of(self, entry), target=target)


def fields(form: Form) -> tuple[set[str], set[str]]:
    """Operand fields that name registers of the pinned file: read, written."""
    return ({field for file, field in form.recipe.reads if file == PINNED_FILE},
            {field for file, field in form.recipe.writes if file == PINNED_FILE})


def shapes(form: Form, slots: range, all_slots: range, three_address: frozenset[str]) -> Iterator[tuple[int, int, int]]:
    """The combinations of places worth a stencil of their own; the copier composes the others.

    Three different registers only where the host has such an instruction: elsewhere a move first gives the same code.
    What a jump writes is always where it belongs: no move can follow.
    """
    reads, writes = fields(form)
    zero = [ZERO] if "rs2" in reads and (form.recipe.ends == "branch" or not writes or form.name in three_address) else []
    if form.name == MOVE:
        zero = [ZERO]
    for rd in (MEMORY, *(all_slots if form.recipe.ends else slots)) if "rd" in writes else (MEMORY,):
        for rs1 in (MEMORY, *zero, *slots) if "rs1" in reads else (MEMORY,):
            for rs2 in (MEMORY, *zero, *slots) if "rs2" in reads else (MEMORY,):
                if rd == MEMORY or rd in (rs1, rs2) or "rs2" not in reads or form.name in three_address:
                    yield rd, rs1, rs2


def has_addresses(form: Form, wide_immediate: frozenset[str]) -> bool:
    """The form's holes may need 64 bits."""
    return form.name in wide_immediate or any(op.name == "next_pc" for op in form.recipe.ops)


def _move(i: Recorder) -> None:
    i.put(PINNED_FILE, "rd", i.get(PINNED_FILE, "rs1"))


class Plan:
    """Which stencils a library has: (form, shape) in the order of their numbers, and the forms' variants.

    `isa` gives FORMS, PINNED, HOT, THREE_ADDRESS, WIDE_IMMEDIATE and ZERO_IMMEDIATE. Not full: everything in memory, built in a moment.
    """

    def __init__(self, isa, full: bool, count: bool = False,        # type: ignore[no-untyped-def]
                 model: Model = Flat):
        self.isa, self.pinned, self.count, self.model = isa, isa.PINNED, count, model
        self.forms = list(isa.FORMS)
        self.wide: dict[str, int] = {}                  # number of the form's variant, by its name
        self.zero: dict[str, int] = {}
        self.move = Form(MOVE, len(self.forms), record(_move, Recorder()))
        self.forms.append(self.move)
        for form in isa.FORMS:
            if has_addresses(form, isa.WIDE_IMMEDIATE):
                self.wide[form.name] = len(self.forms)
                self.forms.append(Form(form.name, len(self.forms), form.recipe))
            if form.name in isa.ZERO_IMMEDIATE:
                self.zero[form.name] = len(self.forms)
                self.forms.append(Form(form.name, len(self.forms), form.recipe))
        all_slots = range(SLOT, SLOT + len(self.pinned))
        self.stencils: list[tuple[Form, tuple[int, int, int]]] = []
        for form in self.forms:
            hot = (full and form.name in isa.HOT) or form is self.move
            for shape in shapes(form, all_slots if hot else range(0), all_slots, isa.THREE_ADDRESS):
                self.stencils.append((form, shape))

    def text(self) -> str:
        lines = [f"@{name} = external dso_local global i8, !absolute_symbol !{n + 2}" for n, name in enumerate(HOLES)]
        lines += [f"!{n + 2} = {bounds}" for n, bounds in enumerate(HOLES.values())]
        lines += [f"declare dso_local {CONVENTION} void @{name}({ARGUMENT_TYPES})"
                  for name in ("target", "next_stencil", *NATIVES)]
        lines += [self.function(number) for number in range(len(self.stencils))]
        return "\n".join([*lines, METADATA])

    def function(self, number: int) -> str:
        """The LLVM function of a stencil."""
        form, shape = self.stencils[number]
        site = StencilSite(self.pinned, form, shape, self.model, form.number == self.wide.get(form.name), form.number == self.zero.get(form.name))
        if self.count:
            site.count_form(form, itself=False)         # before it, by the copier
        lower(form.recipe, site)
        if form.recipe.ends is None:
            site.go("@next_stencil")
        return function(f"s{number}", site.lines + site.tail, "optsize")


def form_words(isa) -> bytes:                   # type: ignore[no-untyped-def]
    """What blocks.py and copier.py ask of a form: uint32 by form number."""
    plan, words = Plan(isa, False), []
    for form in isa.FORMS:
        reads, writes = fields(form)
        word = KINDS_OF_END[form.recipe.ends]
        word |= RD_IS_X * ("rd" in writes) | RS1_IS_X * ("rs1" in reads) | RS2_IS_X * ("rs2" in reads)
        word |= MAY_TRAP * form.recipe.may_trap | NOTHING * (not form.recipe.ops)
        word |= CALLS * (form.recipe.ends in ("jump", "jump_to") and bool(writes))
        word |= RETURNS * (form.recipe.ends == "jump_to" and form.recipe.ops[-1].attribute == "return")
        if form.name in plan.wide:
            word |= WIDE_VARIANT | plan.wide[form.name] << OTHER_SHIFT
        if form.name in plan.zero:
            word |= ZERO_VARIANT | (0 if form.name in plan.wide else plan.zero[form.name] << OTHER_SHIFT)
        words.append(word)
    return struct.pack(f"<{len(words)}I", *words)


def build(isa, full: bool, count: bool = False, model: Model = Flat) -> bytes:  # type: ignore[no-untyped-def]
    """Compile the library; count: for the counting build. No IR passes: there is nothing to optimise in one instruction."""
    plan = Plan(isa, full, count, model)
    return _pack(plan, *_cut(elf.read(llvm.emit(llvm.parse(plan.text()))), len(plan.stencils)))


def _kind(relocation: elf.Relocation, symbol: elf.Symbol, sections: dict[int, int]) -> tuple[int, int]:
    """Hole kind and addend of a relocation. Data sections are laid out one behind the other."""
    name, addend = symbol.name, relocation.addend
    size = {elf.R_64: WIDE, elf.R_8: BYTE}.get(relocation.kind, 0)
    if symbol.section in sections:
        if relocation.kind not in (elf.R_PC32, elf.R_PLT32):
            raise AssertionError("absolute address of a constant")
        return HOLE_NUMBERS["data"], addend + sections[symbol.section] + symbol.value
    name = name.removesuffix("_wide")
    if name in NATIVES:
        return HOLE_NUMBERS["shared"] + NATIVES.index(name) | size, addend
    return HOLE_NUMBERS[name] | size, addend


def _cut(image: elf.Object, count: int):        # type: ignore[no-untyped-def]
    """Per stencil its code, holes and the place of its rel32 to another block; and the constants they use."""
    data, sections = b"", {}
    for section in image.sections:
        if section.name.startswith(".rodata"):
            data += bytes(-len(data) % section.align)
            sections[section.number] = len(data)
            data += section.data
    code_section = next(s for s in image.sections if s.name == ".text")
    text = code_section.data
    relocations = sorted(image.relocations[code_section.number], key=lambda r: r.offset, reverse=True)
    symbols = sorted((s for s in image.symbols if s.name[:1] == "s" and s.name[1:].isdigit()), key=lambda s: s.value)
    result: list[tuple[bytes, list[tuple[int, int, int]], int]] = [(b"", [], 0)] * count
    target, following = HOLE_NUMBERS["target"], HOLE_NUMBERS["next_stencil"]
    for symbol in symbols:
        code, holes = bytearray(text[symbol.value:symbol.value + symbol.size]), []
        while relocations and relocations[-1].offset < symbol.value + symbol.size:
            relocation = relocations.pop()
            kind, addend = _kind(relocation, image.symbols[relocation.symbol], sections)
            holes.append((relocation.offset - symbol.value, kind, addend))
        tail = [(offset - len(code), kind) for offset, kind, _ in holes[-2:]]
        if tail == [(-9, following), (-4, target)] and code[-11] == 0x0F:       # jcc next; jmp target -> jncc target
            code[-10] ^= 1
            code, holes = code[:-5], [*holes[:-2], (len(code) - 9, target, -4)]
        elif tail[-1:] == [(-4, following)] and code[-5] == JUMP_OPCODE:        # a jump to what follows
            code, holes = code[:-5], holes[:-1]
        patched = [offset for offset, kind, _ in holes if kind == target]
        if len(patched) > 1:
            raise AssertionError(f"stencil {symbol.name} jumps to its target in {len(patched)} places")
        result[int(symbol.name[1:])] = bytes(code), holes, patched[0] if patched else 0
    return result, data


def _shortest(code: bytes, holes: Sequence[tuple[int, int, int]], patched: int) -> Sequence[int]:
    """How each hole can be shorter. None where the copier must know the length before it knows the values: of jumps."""
    if patched or any(kind == HOLE_NUMBERS["next_stencil"] for _, kind, _ in holes):
        return [NOT] * len(holes)
    return shortest(code, [(offset, bool(kind & WIDE)) for offset, kind, _ in holes])


def _pack(plan: Plan, stencils, data: bytes) -> bytes:      # type: ignore[no-untyped-def]
    places = SLOT + len(plan.pinned)
    code, table, holes = bytearray(), bytearray(), bytearray()
    for its_code, its_holes, patched in stencils:
        ways = _shortest(its_code, its_holes, patched)
        table += struct.pack(STENCIL_FORMAT, len(code), len(its_code), len(its_holes), len(holes) // 8, patched, 0)
        code += its_code
        for (offset, kind, addend), way in zip(its_holes, ways, strict=True):
            holes += struct.pack(HOLE_FORMAT, offset, kind | way << SHORT, addend)
    variants = [NO_VARIANT] * (len(plan.forms) * places ** 3)
    anywhere = range(places)
    for number, (form, (d, a, b)) in enumerate(plan.stencils):
        reads, writes = fields(form)
        for rd in (d,) if "rd" in writes else anywhere:
            for rs1 in (a,) if "rs1" in reads else anywhere:
                for rs2 in (b,) if "rs2" in reads else anywhere:
                    variants[((form.number * places + rd) * places + rs1) * places + rs2] = number
    where = [MEMORY] * (SINK + 1)
    where[plan.isa.ZERO[1]] = ZERO
    for slot, register in enumerate(plan.pinned):
        where[register] = SLOT + slot
    parts = {"code": bytes(code), "stencils": bytes(table), "holes": bytes(holes),
             "variants": struct.pack(f"<{len(variants)}H", *variants), "where": bytes(where), "data": data}
    words, body = dict.fromkeys(LIBRARY, 0), bytearray()
    for name, part in parts.items():
        body += bytes(-len(body) % 64)
        words[name] = HEADER_SIZE + len(body)
        body += part
    words["places"], words["move"] = places, plan.move.number
    return struct.pack("<8Q", *words.values()) + bytes(body)
