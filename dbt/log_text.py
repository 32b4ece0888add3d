"""What the log says of a translation: guest code, recipes, LLVM IR and host code, each as lines of text."""

from __future__ import annotations

import ctypes
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dragoman.dbt import interpreter, listing, recipe_text
from dragoman.dbt import translation_report as layout
from dragoman.dbt.copier import NO_INSTRUCTION
from dragoman.dbt.host import x86_64_listing
from dragoman.dbt.isa import riscv
from dragoman.dbt.isa.riscv import contexts
from dragoman.dbt.memory_model import MODELS
from dragoman.dbt.stencil_layout import MEMORY, SLOT, ZERO
from dragoman.dbt.stencils import Plan, fields

HANDLER = "handle_"                     # of the interpreter: the symbol, with a form's number behind
STUB_SIZE = 30                          # two constants and a jump, at the most
PADDING = " nop "                       # between functions


class Instruction(NamedTuple):
    record: listing.Record
    code: bytes
    text: str


class Block(NamedTuple):
    """Guest code at `pc`, translated to host code at `host`. page: physical page and context of paged memory, else 0."""
    pc: int
    host: int
    instructions: tuple[Instruction, ...]
    page: int = 0

    def end(self) -> int:
        record = self.instructions[-1].record
        return (record.pc + record.length) & (1 << 64) - 1

    def goes_on(self) -> bool:
        """It leads to the block behind it, if only by a branch that is not taken."""
        return riscv.FORM[self.instructions[-1].record.form].recipe.ends in (None, "branch")


class Report(NamedTuple):
    """A translation as translation_report.py wrote it down. `sites`: host address and guest pc; `stencils`: host address
    and number in the library at address `library`; `code`: the new host code, at address `start`."""
    blocks: tuple[Block, ...]
    sites: tuple[tuple[int, int], ...]
    stencils: tuple[tuple[int, int], ...]
    library: int
    start: int
    code: bytes

    @classmethod
    def read(cls, address: int, level: str, inline: bool | None = None) -> Report:
        """level: of isa/levels.py. inline: of a machine: whether sensitive instructions may be rewritten inline; None: of a process."""
        def table(offset: int, count: int, size: int, form: str) -> tuple[tuple[int, ...], ...]:
            return tuple(struct.iter_unpack(form, ctypes.string_at(address + offset, count * size)))
        library, start, end, blocks, sites, puts, length = struct.unpack("<7Q", ctypes.string_at(address, 56))
        page = ctypes.c_uint64.from_address(address + layout.PAGE).value
        guest, at, found = ctypes.string_at(address + layout.GUEST, length), 0, []
        for pc, size, host in table(layout.BLOCKS, blocks, layout.BLOCK_SIZE, "<3Q"):
            machine = None if inline is None else (page & contexts.CONTEXT_MASK, inline)
            found.append(Block(pc, host, tuple(instructions(guest[at:at + size], pc, machine, level)), page))
            at += size
        return cls(tuple(found), table(layout.SITES, sites, layout.SITE_SIZE, "<2Q"),           # type: ignore[arg-type]
                   table(layout.PUTS, puts, layout.PUT_SIZE, "<2I"), library, start,            # type: ignore[arg-type]
                   ctypes.string_at(address + layout.HOST, end - start))


def instructions(code: bytes, pc: int, machine: listing.Machine | None, level: str) -> Iterator[Instruction]:
    """All of it. machine, level: see listing.decode; the text is that of an instruction even where context or level forbid it."""
    at, readable = 0, None if machine is None else (contexts.EVERYTHING, True)
    while at < len(code):
        record = listing.decode(code[at:at + 4], pc + at, machine, level)
        yield Instruction(record, code[at:at + record.length], listing.disassemble(code[at:at + 4], pc + at, readable))
        at += record.length


def in_asm(block: Block) -> Iterator[str]:
    for one in block.instructions:
        word = int.from_bytes(one.code, "little")
        yield f"  0x{one.record.pc:x}  {word:0{2 * len(one.code)}x}".ljust(28) + one.text


def recipe(block: Block) -> Iterator[str]:
    for one in block.instructions:
        yield f"  0x{one.record.pc:x}  {one.text}"
        for line in recipe_text.lines(one.record):
            yield f"    {line}"


def heading(one: Instruction, what: str) -> str:
    """An instruction between host code, and what that is made of."""
    line = f"  0x{one.record.pc:x}  {one.text}"
    return f"{line:<50}  ; {what}" if what else line


class Namer:
    """Names of host addresses: routines of the engine image, blocks, and the stubs of blocks not translated yet."""

    def __init__(self, symbols: dict[str, int], arena: range, symbol: Callable[[int], str]) -> None:
        self.natives = {address: self._native(name) for name, address in symbols.items()}
        self.arena, self.symbol = arena, symbol
        self.blocks: dict[int, int] = {}            # host code: guest pc
        self.exits: dict[int, int] = {}             # host code of a region's jumps out: guest pc

    def forget(self) -> None:
        """The code cache was emptied."""
        self.blocks.clear()
        self.exits.clear()

    @staticmethod
    def _native(name: str) -> str:
        number = name.removeprefix(HANDLER)
        return f"{name} ({riscv.FORMS[int(number)].name})" if number != name and number.isdigit() else name

    def __call__(self, address: int) -> str:
        if address in self.natives:
            return self.natives[address]
        if address in self.blocks:
            return f"block {self.guest(self.blocks[address])}"
        if address in self.exits:
            return f"exit to {self.guest(self.exits[address])}"
        return self._stub(address) if address in self.arena else ""

    def guest(self, pc: int) -> str:
        """A guest address, with the symbol that it has."""
        return f"0x{pc:x} {self.symbol(pc)}".rstrip()

    def _stub(self, address: int) -> str:
        """`mov edx, pc; jmp native`, as the copier writes it, possibly with a second constant between."""
        target = None
        code = ctypes.string_at(address, min(STUB_SIZE, self.arena.stop - address))
        for _, _, mnemonic, operands in x86_64_listing.disassemble(code, address):
            register, _, value = operands.partition(", ")
            if mnemonic in ("mov", "movabs") and register in ("edx", "rdx", "ecx", "rcx") and value.startswith("0x"):
                target = int(value, 16) if register in ("edx", "rdx") else target
            elif mnemonic == "jmp" and target is not None and operands.startswith("0x"):
                name = self.natives.get(int(operands, 16))
                return f"{name} {self.guest(target)}" if name else ""
            else:
                return ""
        return ""


class InterpreterText:
    """Host code of interpreted blocks: handlers, the same for all of them. Of each form the first time that it is met."""

    def __init__(self, engine, namer: Namer) -> None:       # type: ignore[no-untyped-def]
        self.namer, self.count, self.model = namer, engine.options.count, MODELS[engine.images.prefix]
        self.symbols = engine.image.symbols
        self.starts = sorted(set(self.symbols.values()))
        self._with_ir: set[str] = set()
        self._with_code: set[str] = set()

    @staticmethod
    def _new(instructions: list[Instruction], known: set[str]) -> Iterator[str]:
        for form in dict.fromkeys(one.record.form for one in instructions):
            if form not in known:
                known.add(form)
                yield form

    def ir(self, report: Report, instructions: list[Instruction]) -> Iterator[str]:
        for name in self._new(instructions, self._with_ir):
            form = riscv.FORM[name]
            yield f"ir {name}: handler of the interpreter"
            yield from (f"  {line}" for line in interpreter.handler(form, riscv.PINNED, self.count, self.model).splitlines())

    def out_asm(self, report: Report, instructions: list[Instruction]) -> Iterator[str]:
        """The way into the interpreter, and which handlers it calls; then the code of those that are new here."""
        shown = {one.record.pc for one in instructions}
        for _, text in x86_64_listing.lines(report.code, report.start, self.namer):
            yield f"    {text}"
        for block in report.blocks:
            for one in block.instructions:
                if one.record.pc in shown:
                    symbol = self._symbol(one.record.form)
                    yield heading(one, f"{self.namer.natives[self.symbols[symbol]]} at 0x{self.symbols[symbol]:x}")
            if block.goes_on():
                yield f"  goto {self.namer.guest(block.end())}"
        for name in self._new(instructions, self._with_code):
            start = self.symbols[self._symbol(name)]
            end = self.starts[bisect_right(self.starts, start)]
            yield f"out_asm {name}: handler of the interpreter"
            code = [text for _, text in x86_64_listing.lines(ctypes.string_at(start, end - start), start, self.namer)]
            while PADDING in code[-1]:
                code.pop()
            yield from (f"    {text}" for text in code)

    @staticmethod
    def _symbol(form: str) -> str:
        return f"{HANDLER}{riscv.FORM[form].number}"


class StencilText:
    """Host code of units: copied stencils."""

    def __init__(self, engine, namer: Namer) -> None:       # type: ignore[no-untyped-def]
        self.small, self.namer = engine.image.blobs["library"][0], namer
        self.count, self.model = engine.options.count, MODELS[engine.images.prefix]
        self._plans: dict[bool, Plan] = {}
        self._with_ir: set[tuple[int, int]] = set()

    def plan(self, library: int) -> Plan:
        """What the numbers of stencils mean in this library."""
        full = library != self.small
        if full not in self._plans:
            self._plans[full] = Plan(riscv, full, self.count, self.model)
        return self._plans[full]

    def label(self, library: int, number: int) -> str:
        """The stencil's form, and where its operands are."""
        plan = self.plan(library)
        form, shape = plan.stencils[number]
        reads, writes = fields(form)
        places = [f"{field}={self._place(place)}" for field, place in zip(("rd", "rs1", "rs2"), shape)
                  if field in reads | writes]
        variant = {plan.wide.get(form.name): " (wide)", plan.zero.get(form.name): " (0)"}.get(form.number, "")
        return " ".join([form.name + variant, *places])

    @staticmethod
    def _place(place: int) -> str:
        if place in (MEMORY, ZERO):
            return "state" if place == MEMORY else "0"
        return riscv.REGISTER_NAMES["x"][riscv.PINNED[place - SLOT]]

    def ir(self, report: Report, instructions: list[Instruction]) -> Iterator[str]:
        """Of each stencil the first time that it is used."""
        shown, starts = {one.record.pc for one in instructions}, [host for host, _ in report.sites]
        for host, number in report.stencils:
            key = report.library, number
            if key not in self._with_ir and report.sites[bisect_right(starts, host) - 1][1] in shown:
                self._with_ir.add(key)
                yield f"ir {self.label(*key)}: stencil {number}"
                yield from (f"  {line}" for line in self.plan(report.library).function(number).splitlines())

    def out_asm(self, report: Report, instructions: list[Instruction]) -> Iterator[str]:
        """The host code of these instructions, and the unit's stubs."""
        shown = {one.record.pc: one for one in instructions}
        starts = [host for host, _ in report.sites]
        labels: dict[int, list[str]] = {}
        for host, number in report.stencils:
            labels.setdefault(bisect_right(starts, host) - 1, []).append(self.label(report.library, number))
        at: int | None = None
        inside = False
        for host, text in x86_64_listing.lines(report.code, report.start, self.namer):
            now = bisect_right(starts, host) - 1
            if now != at:
                at, pc = now, report.sites[now][1] if now >= 0 else NO_INSTRUCTION
                behind = report.sites[now + 1][1] if now + 1 < len(report.sites) else NO_INSTRUCTION
                inside = pc in shown or (pc == NO_INSTRUCTION and (behind in shown or behind == NO_INSTRUCTION))
                if pc in shown:
                    yield heading(shown[pc], ", ".join(labels.get(now, ())))
                elif inside:
                    yield "  polls and counts" if behind in shown else "  stubs"
            if inside:
                yield f"    {text}"
