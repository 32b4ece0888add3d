"""Threaded interpreter: one LLVM function per form, each tail-calling the handler of the next decoded record.

A block is a header record, which other blocks link to for good, and a body of records. The header's handler says what
the block is: head (interpreted), head_counting (the same, counted for regions), head_native (goes to compiled code),
head_miss (not decoded yet). So nothing is patched but headers. Registers are in the CPU state.
"""

from __future__ import annotations

from dragoman.dbt.lower import lower
from dragoman.dbt.memory_model import Flat, Model, miss_name
from dragoman.dbt.natives import NativeSite, code_of, probe
from dragoman.dbt.recipe import Form
from dragoman.dbt.sites import PINS, Lowered, function
from dragoman.dbt.state import (
    FIELD_BYTES,
    FIELD_OFFSET,
    OFFSET,
    RECORD_FORM,
    RECORD_HANDLER,
    RECORD_IMM,
    RECORD_LENGTH,
    RECORD_PC,
    RECORD_SIZE,
    register_offset,
)


class HandlerSite(NativeSite):
    """Operands come out of the decoded record, registers out of the state by the number found there."""

    def record(self, offset: int, bits: int = 64) -> str:
        pointer = self.emit(f"getelementptr i8, ptr {self.now['free']}, i64 {offset}")
        value = self.emit(f"load i{bits}, ptr {pointer}, align {bits // 8}, !invariant.load !1")
        return value if bits == 64 else self.emit(f"zext i{bits} {value} to i64")

    def operand(self, field: str) -> str:
        return self.record(FIELD_OFFSET[field], 8 * FIELD_BYTES[field])

    def pc(self) -> str:
        return self.record(RECORD_PC)

    def next_pc(self) -> str:
        return self.emit(f"add i64 {self.pc()}, {self.record(RECORD_LENGTH, 8)}")

    def register(self, file: str, field: str) -> str:
        number = self.record(FIELD_OFFSET[field], 8)
        return self.at_state(self.emit(f"add i64 {self.emit(f'shl i64 {number}, 3')}, {register_offset(file, 0)}"))

    def get(self, file: str, field: str) -> Lowered:
        return self.emit(f"load i64, ptr {self.register(file, field)}, align 8"), "i64"

    def put(self, file: str, field: str, value: Lowered) -> None:
        self.do(f"store {value[1]} {value[0]}, ptr {self.register(file, field)}, align 8")

    def before_trap(self) -> None:
        """A fault handler finds the guest pc by the record in work."""
        self.do(f"store ptr {self.now['free']}, ptr {self.field_pointer('record')}, align 8")

    def leave(self, reason: str, pc: str, value: str = "0") -> None:
        if value != "0":
            self.set_field("exit_data", value)
        self.go(f"@stop_{reason}", target=pc)

    def tlb_miss(self, address: str, size: int, write: bool, hit: str) -> None:
        self.go(f"@record_{miss_name(size, write)}", target=address, **dict.fromkeys(PINS, "undef"))

    def continue_at(self, record: str) -> None:
        handler = self.emit(f"load ptr, ptr {record}, align 8")
        self.go(handler, free=record, **dict.fromkeys(PINS, "undef"))

    def continue_next(self) -> None:
        self.continue_at(self.emit(f"getelementptr i8, ptr {self.now['free']}, i64 {RECORD_SIZE}"))

    def jump(self) -> None:
        """The block's builder has put the target's header where the target's address was."""
        self.continue_at(self.emit(f"inttoptr i64 {self.record(RECORD_IMM)} to ptr"))

    def branch(self, condition: str) -> None:
        taken, on = self.name(), self.name()
        self.do(f"br i1 {condition}, label %{taken}, label %{on}")
        self.start(taken)
        self.jump()
        self.start(on)
        self.continue_next()

    def jump_to(self, address: str, hint: str, whole: str = "", mask: int = 0) -> None:
        entry, hit = probe(self, address)
        found, missed = self.name(), self.name()
        pins = self.load_pins()
        self.do(f"br i1 {hit}, label %{found}, label %{missed}")
        self.start(missed)
        self.go("@miss", target=address, **pins)
        self.start(found)
        self.go(code_of(self, entry), target=address, **pins)


def handler(form: Form, pinned: tuple[int, ...], count: bool = False, model: Model = Flat) -> str:
    site = HandlerSite(pinned, model)
    if count:
        site.count_form(form)
    lower(form.recipe, site)
    if form.recipe.ends is None:
        site.continue_next()
    return function(f"handle_{form.number}", site.lines + site.tail)


def _count_down(site: HandlerSite) -> None:
    """One of the budget; below 0 to `poll`, which goes on at this block."""
    pointer = site.at_state(OFFSET["budget"])
    left = site.emit(f"sub i32 {site.emit(f'load i32, ptr {pointer}, align 8')}, 1")
    site.do(f"store i32 {left}, ptr {pointer}, align 8")
    site.do(f"br i1 {site.emit(f'icmp slt i32 {left}, 0')}, label %poll, label %on, !prof !0")
    site.start("poll")
    pc = site.pc()
    sample = site.emit(f"inttoptr i64 {pc} to ptr")
    site.go("@poll", target=pc, free=sample, **site.load_pins())
    site.start("on")


def control_text(pinned: tuple[int, ...]) -> str:
    """Handlers of headers and pseudo-records, and `interpret`, by which other code enters a block."""
    texts = []

    site = HandlerSite(pinned)
    _count_down(site)
    site.jump()
    texts.append(function("head", site.lines))

    site = HandlerSite(pinned)
    _count_down(site)
    pointer = site.emit(f"getelementptr i8, ptr %free, i64 {RECORD_FORM}")
    left = site.emit(f"sub i64 {site.emit(f'load i64, ptr {pointer}, align 8')}, 1")
    site.do(f"store i64 {left}, ptr {pointer}, align 8")
    site.do(f"br i1 {site.emit(f'icmp slt i64 {left}, 0')}, label %hot, label %cool, !prof !0")
    site.start("hot")
    site.leave("hot", site.pc())
    site.start("cool")
    site.jump()
    texts.append(function("head_counting", site.lines))

    site = HandlerSite(pinned)
    code = site.emit(f"inttoptr i64 {site.record(RECORD_IMM)} to ptr")
    site.go(code, target=site.pc(), **site.load_pins())
    texts.append(function("head_native", site.lines))

    site = HandlerSite(pinned)
    site.go("@absent", target=site.pc(), **site.load_pins())
    texts.append(function("head_miss", site.lines))

    site = HandlerSite(pinned)                 # a block on another page: where that is must be looked up each time
    site.go("@dispatch", target=site.pc(), **site.load_pins())
    texts.append(function("head_far", site.lines))

    site = HandlerSite(pinned)
    site.jump()
    texts.append(function("goto", site.lines))

    site = HandlerSite(pinned)                 # free: the header; the pins are live
    site.store_pins()
    site.continue_at("%free")
    texts.append(function("interpret", site.lines))
    return "\n".join(texts)


def text(forms: tuple[Form, ...], pinned: tuple[int, ...], count: bool = False, model: Model = Flat) -> str:
    """All handlers; `handlers` is the table of their addresses by form number."""
    pointers = ", ".join(f"ptr @handle_{form.number}" for form in forms)
    table = f"@handlers = constant [{len(forms)} x ptr] [{pointers}]"
    return "\n".join([*(handler(form, pinned, count, model) for form in forms), control_text(pinned), table])


assert RECORD_HANDLER == 0
