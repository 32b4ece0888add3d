"""Texts of register values in a region: what is known of them at a place in a block, and where they are kept between blocks.

Float registers are kept as singles or as doubles (raw); an alloca of each kind that is needed, which LLVM promotes.
"""

from __future__ import annotations

from dragoman.dbt.region_block import F_SHIFT, Block, bits
from dragoman.dbt.region_flow import Flow
from dragoman.dbt.sites import PINS, Site
from dragoman.dbt.state import register_offset

BOX_HIGH = 0xFFFF_FFFF          # upper word of a single in a float register
NAN = "0x7FF8000000000000"      # CANONICAL of region_recipe.py as LLVM writes it, of either width


def where(number: int) -> int:
    """Offset in the state of register x n (n) or f n (32 + n)."""
    return register_offset("f", number - F_SHIFT) if number >= F_SHIFT else register_offset("x", number)


class Values:
    """Texts of register values that are known at one place in a block, by register file."""

    def __init__(self, block: Block, lines: list[str]):
        self.lines, self.block = lines, block
        self.x: dict[int, str] = {}
        self.f: dict[int, str] = {}             # raw, double
        self.single: dict[int, str] = {}        # what the register holds, boxed
        self.seen: dict[int, str] = {}          # raw registers as singles
        self.loose = block.loose                # of f; see region_nans.py


class RegisterTexts:
    """The registers of one region; lines that load or change one go to those of the Values."""

    def __init__(self, flow: Flow, pinned: tuple[int, ...]):
        self.slot = dict(zip(pinned, PINS))
        self.count = 0
        self.tail: list[str] = []               # lines for the end of the function
        self.written = 0
        for block in flow.blocks.values():
            self.written |= block.writes
        self.allocas: dict[str, str] = {}

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def alloca(self, kind: str, number: int) -> str:
        """x: integer, d: raw float register, s: single; the name without %."""
        name = f"{kind}{number - F_SHIFT if number >= F_SHIFT else number}"
        self.allocas.setdefault(name, {"x": "i64", "d": "double", "s": "float"}[kind])
        return name

    def x(self, values: Values, number: int) -> str:
        if number == 0:
            return "0"
        if number not in values.x:
            if number in self.slot and not self.written >> number & 1:
                values.x[number] = f"%{self.slot[number]}"
            else:
                values.x[number] = self.load(values, "x", number, "i64")
        return values.x[number]

    def load(self, values: Values, kind: str, number: int, type_: str) -> str:
        value = f"%{self.name('r')}"
        values.lines.append(f"{value} = load {type_}, ptr %{self.alloca(kind, number)}")
        return value

    def emit(self, values: Values, text: str) -> str:
        value = f"%{self.name('c')}"
        values.lines.append(f"{value} = {text}")
        return value

    def is_single(self, values: Values, number: int) -> bool:
        """The register is kept as a boxed single here."""
        return number in values.single or (number not in values.f and bool(values.block.single >> number & 1))

    def held(self, values: Values, number: int) -> str:
        """The float in a register that is_single."""
        if number not in values.single:
            values.single[number] = self.load(values, "s", number, "float")
        return values.single[number]

    def held_or_raw(self, values: Values, number: int) -> tuple[str, str]:
        """A register as it is kept, loose or not: LLVM's type and the value."""
        if self.is_single(values, number):
            return "float", self.held(values, number)
        return "double", self.raw(values, number)

    def settle(self, values: Values, number: int) -> None:
        """Make a NaN the canonical one, if the register is loose."""
        if values.loose >> number & 1:
            kind, value = self.held_or_raw(values, number)
            bad = self.emit(values, f"fcmp uno {kind} {value}, {value}")
            self.settled(values, number, kind, self.emit(values, f"select i1 {bad}, {kind} {NAN}, {kind} {value}"))

    @staticmethod
    def settled(values: Values, number: int, kind: str, value: str) -> None:
        (values.single if kind == "float" else values.f)[number] = value
        values.loose &= ~(1 << number)

    def settle_all(self, values: Values, mask: int, label: str) -> str:
        """The same for these registers, off the path of the values: two are tested at a time. Label of the basic block behind it."""
        kept = {number: self.held_or_raw(values, number) for number in bits(mask & values.loose)}
        if not kept:
            return label
        on, bad = self.name("N"), self.name("N")
        pairs: list[str] = []
        for kind in ("float", "double"):
            some = [value for found, value in kept.values() if found == kind]
            pairs += [f"{kind} {some[n]}, {some[(n + 1) % len(some)]}" for n in range(0, len(some), 2)]
        for n, pair in enumerate(pairs, 1):
            tested, label = label, on if n == len(pairs) else self.name("N")
            values.lines += [f"br i1 {self.emit(values, f'fcmp uno {pair}')}, label %{bad}, label %{label}, !prof !0", f"{label}:"]
        here = self.values_at(values, [f"{bad}:"])
        for number, (kind, _) in kept.items():
            if len(kept) == 1:
                self.settled(here, number, kind, NAN)
            self.settle(here, number)
        self.tail += [*here.lines, f"br label %{on}"]
        for number, (kind, value) in kept.items():
            _, other = self.held_or_raw(here, number)
            self.settled(values, number, kind, self.emit(values, f"phi {kind} [ {value}, %{tested} ], [ {other}, %{bad} ]"))
        return on

    def raw(self, values: Values, number: int) -> str:
        if number in values.f:
            return values.f[number]
        if self.is_single(values, number):
            self.settle(values, number)
            narrow = self.emit(values, f"bitcast float {self.held(values, number)} to i32")
            wide = self.emit(values, f"zext i32 {narrow} to i64")
            value = self.emit(values, f"bitcast i64 {self.emit(values, f'or i64 {wide}, {BOX_HIGH << 32}')} to double")
        else:
            value = self.load(values, "d", number, "double")
        values.f[number] = value
        return value

    def single(self, values: Values, number: int, other: int) -> str:
        if self.is_single(values, number):
            return self.held(values, number)
        self.settle(values, number)             # a box is told by its bits
        if number not in values.seen:
            word = self.emit(values, f"bitcast double {self.raw(values, number)} to i64")
            boxed = self.emit(values, f"icmp eq i64 {self.emit(values, f'lshr i64 {word}, 32')}, {BOX_HIGH}")
            low = self.emit(values, f"trunc i64 {word} to i32")
            chosen = self.emit(values, f"select i1 {boxed}, i32 {low}, i32 {other}")
            values.seen[number] = self.emit(values, f"bitcast i32 {chosen} to float")
        return values.seen[number]

    def low(self, values: Values, number: int) -> str:
        word = self.emit(values, f"bitcast double {self.raw(values, number)} to i64")
        return self.emit(values, f"trunc i64 {word} to i32")

    def keep_float(self, values: Values, number: int, as_single: bool) -> None:
        """To its alloca."""
        if as_single:
            values.lines.append(f"store float {self.held(values, number)}, ptr %{self.alloca('s', number)}")
        else:
            value = self.raw(values, number)
            values.lines.append(f"store double {value}, ptr %{self.alloca('d', number)}")

    @staticmethod
    def values_at(values: Values, lines: list[str]) -> Values:
        """The same values for code elsewhere, which may not add to what the block knows."""
        here = Values(values.block, lines)
        here.x, here.f, here.single, here.loose = dict(values.x), dict(values.f), dict(values.single), values.loose
        return here

    def store(self, values: Values, mask: int, state: str, site: Site) -> None:
        for number in bits(mask):
            self.settle(values, number)
            if number < F_SHIFT:
                value, kind = self.x(values, number), "i64"
            elif self.is_single(values, number) and number not in values.f:
                value, kind = self.held(values, number), "float"
            else:
                value, kind = self.raw(values, number), "double"
            pointer = f"%{site.name()}"
            values.lines += [f"{pointer} = getelementptr i8, ptr {state}, i64 {where(number)}", f"store {kind} {value}, ptr {pointer}"]
            if kind == "float":
                values.lines += [f"{pointer}h = getelementptr i8, ptr {pointer}, i64 4", f"store i32 -1, ptr {pointer}h"]
