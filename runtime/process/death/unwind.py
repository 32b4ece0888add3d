"""The calls that a guest thread is in: by call frame information where there is some, else by how the function's code begins, else by ra
or a frame pointer."""

from __future__ import annotations

from _struct import Struct
from typing import NamedTuple

from dragoman.dbt import listing
from dragoman.runtime.process import riscv64_frame as signal_frame
from dragoman.runtime.process.death.areas import Mapped
from dragoman.runtime.process.death.cfi import Damaged, Rules, find, search
from dragoman.runtime.process.elf import HEADER, PT_LOAD, SEGMENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process
    from dragoman.runtime.process.symbols import Symbols

MOST_FRAMES = 64
MOST_CODE = 1 << 14             # bytes of a function up to pc
LEAVES = frozenset({"j", "jr", "ret"})
RA, SP, FP, S1 = 1, 2, 8, 9
KEPT = (SP, FP, S1, *range(18, 28))     # registers that a call leaves as they are (psABI)
PT_GNU_EH_FRAME = 0x6474E550
MASK = (1 << 64) - 1
_PAIR, _REGISTERS = Struct("<2Q"), Struct("<32Q")
_REGISTERS_AT = signal_frame.UCONTEXT + 176


class Frame(NamedTuple):
    """how: "pc", "cfi", "code", "ra", "fp" or "signal": where the caller's address is from."""
    pc: int
    how: str


class Unwinder:
    """Of a process that holds still."""

    def __init__(self, process: Process, areas: list[Mapped], symbols: Symbols) -> None:
        self.process, self.areas, self._symbols = process, areas, symbols
        self._headers: dict[bytes, int] = {}            # of a file: guest address of its .eh_frame_hdr, 0: none

    def frames(self, pc: int, registers: list[int]) -> list[Frame]:
        """From the innermost one on; registers: x0 to x31."""
        found, x, exact, how = [Frame(pc, "pc")], list(registers), True, "pc"
        while len(found) < MOST_FRAMES:
            below = x[SP]
            step = self._out_of_signal(pc, x) or self._by_rules(pc, x, exact) or self._by_prologue(pc, x, exact) \
                or self._by_convention(x, first=how == "pc")
            if step is None:
                break
            pc, how = step
            if not self._is_code(pc) or (x[SP] <= below and how in ("fp",)):
                break
            exact = how == "signal"                     # else pc is behind the call
            found.append(Frame(pc, how))
        return found

    def _is_code(self, pc: int) -> bool:
        return any(area.start <= pc < area.end and area.prot & 4 for area in self.areas)

    def _out_of_signal(self, pc: int, x: list[int]) -> tuple[int, str] | None:
        """From a handler's frame to what it interrupted."""
        memory = self.process.memory
        if memory.read_some(pc, len(signal_frame.TRAMPOLINE)) != signal_frame.TRAMPOLINE:
            return None
        data = memory.read_some(x[SP] + _REGISTERS_AT, _REGISTERS.size)
        if len(data) != _REGISTERS.size:
            return None
        words = _REGISTERS.unpack(data)
        x[1:] = words[1:]
        return words[0], "signal"

    def _by_rules(self, pc: int, x: list[int], exact: bool) -> tuple[int, str] | None:
        header, read, at = self._header(pc), self.process.memory.read_some, pc if exact else pc - 1
        frames = None if header else self._symbols.frames(pc)       # a static program's, which has no such table
        try:
            if header:
                rules = find(read, header, at)
            elif frames is not None:
                rules = search(read, *frames, at)
            else:
                return None
        except Damaged:
            return None
        return (0, "cfi") if rules.outermost else self._apply(rules, x)

    def _apply(self, rules: Rules, x: list[int]) -> tuple[int, str] | None:
        if rules.register >= 32:
            return None
        frame = x[rules.register] + rules.offset & MASK
        before = list(x)
        for number, offset in rules.saved.items():
            if number < 32:
                data = self.process.memory.read_some(frame + offset & MASK, 8)
                if len(data) != 8:
                    x[:] = before
                    return None
                x[number] = int.from_bytes(data, "little")
        x[SP] = frame
        if (frame, x[RA]) == (before[SP], before[RA]) and RA in rules.saved:
            x[:] = before
            return None
        return x[RA], "cfi"

    def _by_prologue(self, pc: int, x: list[int], exact: bool) -> tuple[int, str] | None:
        """What the instructions from the function's symbol up to pc have done to sp, and where they have put registers."""
        at = pc if exact else pc - 1                    # what does not return may be called at a function's end
        name, _, distance = self._symbols(at).rpartition("+")
        start = at - int(distance, 0) if name else at
        if not 0 < at - start <= MOST_CODE:
            return None
        code, moved, saved, inside = self.process.memory.read_some(start, pc - start), 0, dict[int, int](), 0
        for record in listing.decode_all(code, start):
            if record.form == "addi" and record.rd == record.rs1 == SP:
                inside, moved = moved, moved + record.imm
            elif record.form in LEAVES:
                moved = min(moved, inside)              # behind a return or tail call, code goes on as before its epilogue
            elif record.form == "sd" and record.rs1 == SP and record.rs2 in (RA, *KEPT):
                saved.setdefault(record.rs2, record.imm + moved)
        if RA not in saved:
            return None
        step = self._apply(Rules(SP, -moved, saved, False), x)
        return None if step is None else (step[0], "code")

    def _by_convention(self, x: list[int], first: bool) -> tuple[int, str] | None:
        """Of code without such information: ra for the innermost frame, then the pair that a frame pointer points behind."""
        if first:
            return x[RA], "ra"
        data = self.process.memory.read_some(x[FP] - 16 & MASK, 16)
        if len(data) != 16 or x[FP] % 8:
            return None
        x[SP] = x[FP]
        x[FP], x[RA] = _PAIR.unpack(data)
        return x[RA], "fp"

    def _header(self, pc: int) -> int:
        area = next((area for area in self.areas if area.start <= pc < area.end), None)
        if area is None or not area.name:
            return 0
        if area.name not in self._headers:
            self._headers[area.name] = self._look(area.name)
        return self._headers[area.name]

    def _look(self, name: bytes) -> int:
        """The file's own program headers say, where they are mapped."""
        first = next((area for area in self.areas if area.name == name and not area.offset), None)
        if first is None:
            return 0
        memory, base, found = self.process.memory, None, 0
        head = memory.read_some(first.start, HEADER.size)
        if len(head) != HEADER.size or head[:4] != b"\x7fELF":
            return 0
        _, _, _, _, _, offset, _, _, _, size, count, _, _, _ = HEADER.unpack(head)
        if size != SEGMENT.size:
            return 0
        for number in range(count):
            data = memory.read_some(first.start + offset + number * size, size)
            if len(data) != size:
                return 0
            kind, _, place, address, *_ = SEGMENT.unpack(data)
            if kind == PT_LOAD and base is None:
                base = first.start - (address - place & -4096)
            elif kind == PT_GNU_EH_FRAME:
                found = address
        return base + found & MASK if base is not None and found else 0
