"""IR text of a region: its entries, blocks, and the edges between them.

Within a block, registers are the texts of their values; at its end those that are needed go to allocas, which LLVM
promotes.
"""

from __future__ import annotations

from dragoman.dbt.lower import METADATA
from dragoman.dbt.region_block import ADDRESS, COLD_EXIT, F_SHIFT, SHARED_JUMP, Block, Instruction, bits, named_twice, seen_bits
from dragoman.dbt.region_exits import LIKELY, UNLIKELY, Exits
from dragoman.dbt.region_site import Use, template, use
from dragoman.dbt.region_values import BOX_HIGH, Values, where
from dragoman.dbt.sites import ARGUMENT_TYPES, CONVENTION, PARAMETERS, Site
from dragoman.dbt.state import EXITS, LAZY, SINK

FIRST_LOCATION = 20             # number of the debug location of line 1, as metadata
_DEBUG = """!llvm.dbg.cu = !{!10}
!llvm.module.flags = !{!11}
!2 = !{!"branch_weights", i32 1000, i32 1}
!3 = !{!"branch_weights", i32 1, i32 1000}
!10 = distinct !DICompileUnit(language: DW_LANG_C, file: !12, isOptimized: true, runtimeVersion: 0, emissionKind: LineTablesOnly)
!11 = !{i32 2, !"Debug Info Version", i32 3}
!12 = !DIFile(filename: "guest", directory: "")
!13 = !DISubroutineType(types: !15)
!14 = distinct !DISubprogram(name: "region", file: !12, line: 1, type: !13, unit: !10, spFlags: DISPFlagDefinition)
!15 = !{null}"""


class Writer(Exits):
    """Writes one region."""

    # --- the whole
    def module(self, name: str) -> str:
        body: list[str] = []
        for block in self.flow.blocks.values():
            self.block(block, body)
        entries = self.entries()
        allocas = [f"%{alloca} = alloca {kind}" for alloca, kind in self.allocas.items()]
        starts = [f"store i64 %{slot}, ptr %x{n}" for n, slot in self.slot.items() if f"x{n}" in self.allocas]
        function = [f"define {CONVENTION} void @{name}({PARAMETERS}) strictfp nounwind !dbg !14 {{", "entry:",
                    *allocas, *starts, *entries, *body, *self.tail, "}"]
        declarations = [f"declare dso_local {CONVENTION} void @{symbol}({ARGUMENT_TYPES})" for symbol in self.called]
        declarations += [f"declare dso_local preserve_mostcc i64 @{symbol}(ptr)" for symbol in self.returning]
        locations = [f"!{FIRST_LOCATION + n} = !DILocation(line: {n + 1}, scope: !14)" for n in range(len(self.flow.located))]
        return "\n".join([*function, *declarations, METADATA, _DEBUG, *locations])

    def entries(self) -> list[str]:
        """The switch on the number of the entry; each loads what its block needs."""
        flow, lines = self.flow, []
        cases = " ".join(f"i64 {n}, label %E{n}" for n in range(len(flow.entries)))
        lines.append(f"switch i64 %target, label %E0 [{cases}]" if len(flow.entries) > 1 else "br label %E0")
        for n, pc in enumerate(flow.entries):
            lines.append(f"E{n}:")
            block, boxed = flow.blocks[pc], []
            if self.request.precise == LAZY:
                site = Site(f"E{n}s")
                for number, slot in self.slot.items():
                    site.do(f"store i64 %{slot}, ptr {site.at_state(where(number))}")
                site.set_field("pc", str(pc))
                lines += site.lines
            for number in bits(block.live):
                if number in self.slot or number == 0:
                    continue
                pointer = f"%E{n}p{number}"
                lines.append(f"{pointer} = getelementptr i8, ptr %state, i64 {where(number)}")
                if number < F_SHIFT:
                    self.load_and_keep(lines, f"%E{n}v{number}", "i64", pointer, self.alloca("x", number))
                elif block.single >> number & 1:
                    self.load_and_keep(lines, f"%E{n}v{number}", "float", pointer, self.alloca("s", number))
                    lines += [f"{pointer}h = getelementptr i8, ptr {pointer}, i64 4", f"{pointer}b = load i32, ptr {pointer}h"]
                    boxed.append(f"{pointer}b")
                else:
                    self.load_and_keep(lines, f"%E{n}v{number}", "double", pointer, self.alloca("d", number))
            self.check(n, block, boxed, lines)
        return lines

    def load_and_keep(self, lines: list[str], value: str, kind: str, pointer: str, alloca: str) -> None:
        lines += [f"{value} = load {kind}, ptr {pointer}", f"store {kind} {value}, ptr %{alloca}"]

    def check(self, n: int, block: Block, boxed: list[str], lines: list[str]) -> None:
        """What the region takes for a single is none, or for what it would settle: the oracle makes the next step."""
        pc, to = block.pc, self.label(block.pc)
        if not boxed and not block.loose:
            lines.append(f"br label %{to}")
            return
        if boxed:
            total = boxed[0]
            for k, one in enumerate(boxed[1:]):
                lines.append(f"%E{n}a{k} = and i32 {total}, {one}")
                total = f"%E{n}a{k}"
            on = f"E{n}boxed" if block.loose else to
            lines += [f"%E{n}t = icmp eq i32 {total}, {BOX_HIGH}", f"br i1 %E{n}t, label %{on}, label %E{n}bad, {LIKELY}"]
            if block.loose:
                lines.append(f"{on}:")
        if block.loose:
            self.pass_settled(Values(block, lines), block.loose, to, f"E{n}bad")
        lines.append(f"E{n}bad:")
        site = Site(f"E{n}x")
        self.call("leave_emulate")
        if self.counts:
            site.count_one("instructions")
        site.go("@leave_emulate", target=str(pc))
        lines += site.lines

    # --- a block
    def block(self, block: Block, lines: list[str]) -> None:
        lines.append(f"{self.label(block.pc)}:")
        values, dirty, label, end = Values(block, lines), block.dirty, self.label(block.pc), ()
        for one in block.code:
            dirty, label, end = self.instruction(one, values, dirty, label, one.pc in block.stores, one.pc != block.told)
        if block.pc == SHARED_JUMP:
            end = "jump_to", self.load_goto(lines), "jump"  # type: ignore
        if block.pc == COLD_EXIT:
            self.cold(values, dirty)
            return
        if not end or end[0] != "trap":
            self.keep(block, values, label)
            self.end(block, values, dirty, end)

    def instruction(self, one: Instruction, values: Values, dirty: int, label: str,    # type: ignore[no-untyped-def]
                    stores: bool, tells: bool):
        """Dirty registers and the basic block behind it, and how it ends. stores: registers, before an access; tells: and its pc."""
        twice = named_twice(one)
        what = use(one.form, twice)
        if seen_bits(one, what) & values.loose or (stores and dirty & values.loose):
            label = self.settle_all(values, values.block.settled[one.pc] | dirty * stores, label)
        texts = {"p": self.name("i"), "imm": one.imm, "rm": one.rm, "pc": one.pc, "next_pc": one.pc + one.size & ADDRESS,
                 "label": label, "flush": "", "dbg": 0}
        for field in what.x:
            texts[field] = self.x(values, getattr(one, field))
        for field in what.f:
            texts["f_" + field] = self.raw(values, F_SHIFT + getattr(one, field))
        for field in what.single:
            texts["single_" + field] = self.single(values, F_SHIFT + getattr(one, field), what.other)
        low_types = []
        for field in what.low:
            number = F_SHIFT + getattr(one, field)
            boxed = self.is_single(values, number)
            texts["low_" + field] = self.held(values, number) if boxed else self.low(values, number)
            low_types.append((field, "float" if boxed else "i32"))
        volatile = what.accesses and bool(self.request.shared or self.request.precise or one.rd == SINK or one.pc in self.flow.kept)
        form = template(one.form, twice, tuple(low_types), volatile, self.alone, self.model, self.counts)     # type: ignore[arg-type]
        self.returning |= dict.fromkeys(form.calls)
        if what.accesses and not self.model.paged:
            self.flow.located.append(one.pc)
            texts["dbg"] = FIRST_LOCATION + len(self.flow.located) - 1
            if stores:
                before = len(values.lines)
                site = Site(self.name("f"))
                self.store(values, dirty, "%state", site)
                if self.request.precise == LAZY:
                    if tells:
                        self.tell(site, one.pc)
                    values.lines += site.lines
                dirty = 0
                texts["flush"] = "\n".join(values.lines[before:])
                del values.lines[before:]
        if form.text:
            values.lines.append(form.text.format(**texts))
        if form.tail:
            self.tail.append(form.tail.format(**texts))
        for leave in form.leaves:
            self.leave(leave, texts, values, dirty)
        loose = what.makes == "loose" or (what.makes == "copy" and self.copies_loose(one, what, values))
        for file, field, text in form.results:
            number = getattr(one, field)
            value = text.format(**texts)
            if file == "x":
                if number != SINK:
                    values.x[number] = value
                    dirty |= 1 << number
                continue
            number += F_SHIFT
            dirty |= 1 << number
            values.loose = values.loose | 1 << number if loose else values.loose & ~(1 << number)
            values.seen.pop(number, None)
            kept, dropped = (values.single, values.f) if file == "single" else (values.f, values.single)
            kept[number] = value
            dropped.pop(number, None)
        return dirty, form.label.format(**texts) or label, tuple(part.format(**texts) for part in form.end)

    def copies_loose(self, one: Instruction, what: Use, values: Values) -> bool:
        number, as_single = (F_SHIFT + getattr(one, (*what.f, *what.single)[0])), bool(what.single)
        return bool(values.loose >> number & 1) and self.is_single(values, number) == as_single

    # --- edges
    def keep(self, block: Block, values: Values, label: str) -> None:
        """To the allocas, what successors need."""
        live = need_single = need_raw = 0
        for pc in block.successors:
            other = self.flow.blocks[pc]
            live |= other.live
            need_single |= other.live & other.single
            need_raw |= other.live & ~other.single
        boxed = [number for number in bits(need_raw & values.loose) if self.is_single(values, number)]
        self.settle_all(values, block.settled_behind | sum(1 << number for number in boxed), label)
        changes = block.writes | (block.loose & ~values.loose)
        for number in bits(live & block.writes & 0xFFFF_FFFF):
            values.lines.append(f"store i64 {values.x[number]}, ptr %{self.alloca('x', number)}")
        for number in bits((need_single | need_raw) >> F_SHIFT << F_SHIFT):
            bit, changed = 1 << number, changes >> number & 1
            single = self.is_single(values, number)
            if single and need_single & bit and changed:
                self.keep_float(values, number, True)
            if need_raw & bit and (single or changed):
                self.keep_float(values, number, False)

    def end(self, block: Block, values: Values, dirty: int, end: tuple[str, ...]) -> None:
        if block.end == "branch":
            taken, on = block.targets()
            inside = taken in self.flow.blocks, on in self.flow.blocks
            weights = f", {LIKELY if inside[0] else UNLIKELY}" if inside[0] != inside[1] else ""
            labels = [self.edge(block, pc, values, dirty) for pc in (taken, on)]
            values.lines.append(f"br i1 {end[1]}, label %{labels[0]}, label %{labels[1]}{weights}")
        elif block.end == "jump_to":
            self.indirect(block, values, dirty, end[1], end[2])
        else:
            target, = block.targets()
            values.lines.append(f"br label %{self.edge(block, target, values, dirty)}")

    def edge(self, block: Block, target: int, values: Values, dirty: int) -> str:
        """Label for a direct way to `target`."""
        if target in self.flow.blocks:
            to = self.sync(target, values, dirty) if (block.pc, target) in self.flow.syncs else self.label(target)
            to = self.settling(to, self.flow.blocks[target], values)
            if (block.pc, target) in self.flow.guards:
                to = self.guard(to, self.flow.guards[block.pc, target], target, values, dirty)
            return self.poll(to, str(target), values) if block.is_back(target) else to
        symbol = f"exit_{target:x}" if self.is_near(target) else "dispatch"
        self.call(symbol)
        if block.calls and symbol == "dispatch":
            to = self.probe(str(target), values, dirty)
        elif block.calls:
            site = Site(self.name("X"))
            site.start(site.prefix)
            self.out(site, values, dirty, f"@{symbol}", target="undef")
            to = site.prefix
        else:
            to = self.go_cold(f"@{symbol}", str(target) if symbol == "dispatch" else "0", values)
        return self.poll(to, str(target), values) if block.is_back(target) else to

    def load_goto(self, lines: list[str]) -> str:
        self.allocas["goto"] = "i64"
        lines.append("%goto_now = load i64, ptr %goto")
        return "%goto_now"

    def indirect(self, block: Block, values: Values, dirty: int, address: str, hint: str) -> None:
        if SHARED_JUMP in block.successors and block.pc != SHARED_JUMP:
            self.allocas["goto"] = "i64"
            values.lines += [f"store i64 {address}, ptr %goto", "br label %shared"]
            return
        inside = block.returns if hint == "return" else [pc for pc in block.successors if pc >= 0]
        out = self.probe(address, values, dirty)
        label = out
        if inside:
            label = self.name("S")
            cases = " ".join(f"i64 {pc}, label %{self.label(pc)}" for pc in inside)
            self.tail += [f"{label}:", f"switch i64 {address}, label %{out} [{cases}]"]
        if hint != "return":
            label = self.poll(label, address, values)
        values.lines.append(f"br label %{label}")



assert "emulate" in EXITS
