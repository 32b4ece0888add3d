"""IR text of the ways out of a region: exits, polls, probes of the jump cache; they stand at the end of the function.

What leaves stores the dirty registers and makes a tail call, with the pinned registers as arguments.
"""

from __future__ import annotations

from dragoman.dbt.memory_model import Bounded, Flat, Model, Paged, Strict
from dragoman.dbt.natives import code_of, probe
from dragoman.dbt.region_block import COLD_EXIT, SHARED_JUMP, Block, bits
from dragoman.dbt.region_flow import Flow
from dragoman.dbt.region_nans import needed
from dragoman.dbt.region_recipe import CANONICAL
from dragoman.dbt.region_request import BOUNDED, COUNTED, FLAT, PAGED, STRICT, RegionRequest
from dragoman.dbt.region_site import Leave
from dragoman.dbt.region_values import RegisterTexts, Values
from dragoman.dbt.sites import Site
from dragoman.dbt.state import LAST_PARCEL, LAZY, OFFSET, PAGE_SIZE

WORD = (1 << 32) - 1
INFINITY = {32: 0x7F80_0000, 64: 0x7FF0_0000_0000_0000}     # by the width of floats
LIKELY, UNLIKELY = "!prof !2", "!prof !3"
MODELS: dict[int, Model] = {FLAT: Flat, PAGED: Paged, STRICT: Strict, BOUNDED: Bounded}


class Exits(RegisterTexts):
    """Those of one region; each method adds to `tail` and gives the label by which its way out is come to."""

    def __init__(self, flow: Flow, pinned: tuple[int, ...], request: RegionRequest):
        super().__init__(flow, pinned)
        self.flow, self.request = flow, request
        self.model, self.counts = MODELS[request.model], bool(request.decoder & COUNTED)
        self.pages = {pc & -PAGE_SIZE for pc, _ in request.blocks}
        self.alone = not (request.shared or self.model.paged)
        self.same_half = len({half for pc, code in request.blocks for half in (pc >> 32, pc + len(code) - 1 >> 32)}) == 1
        self.called: dict[str, None] = {}
        self.returning: dict[str, None] = {}    # of what is called, what returns

    def label(self, pc: int) -> str:
        return {SHARED_JUMP: "shared", COLD_EXIT: "cold"}.get(pc) or f"B{pc:x}"

    def call(self, symbol: str) -> None:
        self.called[symbol] = None

    def is_near(self, target: int) -> bool:
        """A direct jump out of the region holds: no page of the region is elsewhere while it runs (pages.is_near)."""
        return not self.model.paged or (target & -PAGE_SIZE in self.pages and target % PAGE_SIZE < LAST_PARCEL)

    def sync(self, target: int, values: Values, dirty: int) -> str:
        """Label of a way to a block of the region on which registers are stored, and the pc."""
        label = self.name("S")
        site = Site(label + "_")
        site.start(label)
        self.store(self.values_at(values, site.lines), dirty, "%state", site)
        if self.request.precise == LAZY:
            self.tell(site, target)
        self.tail += [*site.lines, f"br label %{self.label(target)}"]
        return label

    def tell(self, site: Site, pc: int) -> None:
        """Store the pc, or of it the half that is not what was stored at the entry: that takes one host instruction."""
        if self.same_half:
            site.do(f"store i32 {pc & WORD}, ptr {site.field_pointer('pc')}, align 8")
        else:
            site.set_field("pc", str(pc))

    def go_cold(self, code: str, target: str, values: Values) -> str:
        """Label of a way to `code` by the cold exit; `target` is where to go on, if `code` asks for it."""
        label = self.name("X")
        self.allocas |= {"goto": "i64", "leave_to": "ptr"}
        self.tail += [f"{label}:", f"store ptr {code}, ptr %leave_to", f"store i64 {target}, ptr %goto",
                      f"br label %{self.settling('cold', self.flow.blocks[COLD_EXIT], values)}"]
        return label

    def settling(self, to: str, block: Block, values: Values) -> str:
        """Label of a way on to label `to`, on which is settled what a block has so on entry. By branches: LLVM would do what takes none
        before it is known which way is taken."""
        settled = values.loose & needed(block)
        if not settled:
            return to
        label = self.name("S")
        here = self.values_at(values, [f"{label}:"])
        self.settle_all(here, settled, label)
        for number in bits(settled):
            self.keep_float(here, number, bool(block.single >> number & 1))
        self.tail += [*here.lines, f"br label %{to}"]
        return label

    def guard(self, to: str, mask: int, target: int, values: Values, dirty: int) -> str:
        """Label of a way on to label `to`, for f registers that are settled on the way that follows; with other NaNs it leaves."""
        label, out = self.name("G"), self.probe(str(target), values, dirty)
        self.tail.append(f"{label}:")
        self.pass_settled(self.values_at(values, self.tail), mask, to, out)
        return label

    def pass_settled(self, values: Values, mask: int, to: str, bad: str) -> None:
        """Go on at label `to` if these registers hold no NaN, or the canonical one, else at label `bad`. By integers, since
        comparing a signalling NaN raises a flag."""
        nans, others, check = [], [], self.name("N")
        for number in bits(mask):
            kind, value = self.held_or_raw(values, number)
            width = 32 if kind == "float" else 64
            word = self.emit(values, f"bitcast {kind} {value} to i{width}")
            nans.append(self.emit(values, f"icmp ugt i{width} {self.emit(values, f'shl i{width} {word}, 1')}, {INFINITY[width] << 1}"))
            others.append((nans[-1], f"icmp ne i{width} {word}, {CANONICAL[width]}"))
        values.lines += [f"br i1 {self.any_of(values, nans)}, label %{check}, label %{to}, {UNLIKELY}", f"{check}:"]
        wrong = [self.emit(values, f"and i1 {nan}, {self.emit(values, other)}") for nan, other in others]
        values.lines.append(f"br i1 {self.any_of(values, wrong)}, label %{bad}, label %{to}")

    def any_of(self, values: Values, tests: list[str]) -> str:
        total = tests[0]
        for test in tests[1:]:
            total = self.emit(values, f"or i1 {total}, {test}")
        return total

    def cold(self, values: Values, dirty: int) -> None:
        """Where those ways meet; a poll takes the place to go on at as the one to count, too."""
        site = Site("cold")
        code, target = site.emit("load ptr, ptr %leave_to"), site.emit("load i64, ptr %goto")
        free = site.emit(f"inttoptr i64 {target} to ptr")
        site.go(code, target=target, free=free, **self.prepare(site, values, dirty))
        values.lines += site.lines

    def poll(self, to: str, target: str, values: Values) -> str:
        """Label of a look whether somebody wants this thread; goes on at label `to`."""
        self.call("poll")
        label = self.name("P")
        out = self.go_cold("@poll", target, values)
        self.tail += [f"{label}:", f"%{label}p = getelementptr i8, ptr %state, i64 {OFFSET['budget']}"]
        if self.model.paged:
            self.count_down(label, out, to)
            return label
        self.tail += [f"%{label}v = load volatile i32, ptr %{label}p", f"%{label}c = icmp slt i32 %{label}v, 0",
                      f"br i1 %{label}c, label %{out}, label %{to}, !prof !0"]
        return label

    def count_down(self, label: str, out: str, to: str) -> None:
        """A machine's timers are looked at each time that the budget has run out. It goes on here: who leaves comes back at an entry."""
        self.returning["region_poll"] = None
        self.tail += [f"%{label}b = load i32, ptr %{label}p", f"%{label}v = sub i32 %{label}b, 1", f"store i32 %{label}v, ptr %{label}p",
                      f"%{label}c = icmp slt i32 %{label}v, 0", f"br i1 %{label}c, label %{label}q, label %{to}, !prof !0", f"{label}q:",
                      f"%{label}r = call preserve_mostcc i64 @region_poll(ptr %state)", f"%{label}d = icmp ne i64 %{label}r, 0",
                      f"br i1 %{label}d, label %{to}, label %{out}"]

    def probe(self, address: str, values: Values, dirty: int) -> str:
        """Out of the region to a guest address that only the program knows."""
        self.call("miss")
        site = Site(self.name("J"))
        site.model = self.model
        site.start(site.prefix)
        pins = self.prepare(site, values, dirty)
        entry, hit = probe(site, address)
        found, missed = site.name(), site.name()
        site.do(f"br i1 {hit}, label %{found}, label %{missed}")
        site.start(missed)
        site.go("@miss", target=address, **pins)
        site.start(found)
        site.go(code_of(site, entry), target=address, **pins)
        self.tail += site.lines
        return site.prefix

    def out(self, site: Site, values: Values, dirty: int, code: str, target: object, free: str = "undef") -> None:
        pins = self.prepare(site, values, dirty)
        site.go(code, target=str(target), free=free, **pins)
        self.tail += site.lines

    def prepare(self, site: Site, values: Values, dirty: int) -> dict[str, str]:
        """Store what is dirty; the pinned registers as arguments."""
        here = self.values_at(values, site.lines)
        pins = 0
        for number in self.slot:
            pins |= 1 << number
        self.store(here, dirty & ~pins, "%state", site)
        return {slot: self.x(here, number) for number, slot in self.slot.items()}

    def leave(self, leave: Leave, texts: dict, values: Values, dirty: int) -> None:    # type: ignore[type-arg]
        label, value = leave.label.format(**texts), leave.value.format(**texts)
        self.call(leave.routine)
        site = Site(label + "_")
        site.start(label)
        if value != "0":
            site.set_field("exit_data", value)
        self.out(site, values, dirty, f"@{leave.routine}", target=texts["pc"])
