"""A case: one instruction, the state it starts from, the state it must end in; and what an engine is to a test.

An engine runs one instruction on many starts, so that one which compiles does so once. All it shares with the tests is
this file: `Engine`, `Instruction`, `Start`, `End`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

PC, DATA, DATA_SIZE = 0x1_0000, 0x2_0000, 0x1000    # guest addresses: the instruction; one page to read and write
NO_RESERVATION = (1 << 64) - 1
EMPTY = bytes(DATA_SIZE)
# Registers that a start does not name hold their number below a mark, so that strays show.
FILLED = {"x": [0, *(0x1110_0000_0000_0000 + n for n in range(1, 32))],
          "f": [0x2220_0000_0000_0000 + n for n in range(32)]}


@dataclass(frozen=True)
class Instruction:
    """A decoded record: form name and its operand fields (rd of x0 is already 32, the sink), 4 bytes long at PC."""
    form: str
    operands: Mapping[str, int]

    @property
    def next_pc(self) -> int:
        return PC + 4

    def __str__(self) -> str:
        return f"{self.form} {' '.join(f'{name}={value:#x}' for name, value in self.operands.items())}"


@dataclass(frozen=True, repr=False)
class Start:
    """Unsigned values of the registers that matter; the others are FILLED. memory: the first bytes of DATA."""
    x: Mapping[int, int] = field(default_factory=dict)
    f: Mapping[int, int] = field(default_factory=dict)
    frm: int = 0
    flags: int = 0
    reservation: int = NO_RESERVATION
    reserved_value: int = 0
    memory: bytes = b""

    def __repr__(self) -> str:
        named = [f"{file}{n}={value:#x}" for file in ("x", "f") for n, value in getattr(self, file).items()]
        named += [f"frm={self.frm}", f"flags={self.flags}"]
        if self.reservation != NO_RESERVATION:
            named.append(f"reservation={self.reservation:#x} reserved_value={self.reserved_value:#x}")
        return " ".join(named)

    def registers(self, file: str) -> list[int]:
        """All 32, x0 being 0."""
        values = FILLED[file].copy()
        for number, value in {"x": self.x, "f": self.f}[file].items():
            values[number] = value
        return values

    def page(self) -> bytes:
        return self.memory.ljust(DATA_SIZE, b"\0") if self.memory else EMPTY


@dataclass
class End:
    """All that one instruction can change. reason: None, a name of state.EXITS, or "fault" (value: the address)."""
    x: list[int]
    f: list[int]
    frm: int
    flags: int
    reservation: int
    reserved_value: int
    page: bytes
    pc: int
    reason: str | None = None
    value: int = 0

    @classmethod
    def unchanged(cls, start: Start, pc: int) -> End:
        return cls(start.registers("x"), start.registers("f"), start.frm, start.flags, start.reservation,
                   start.reserved_value, start.page(), pc)

    def differences(self, other: End) -> list[str]:
        """Readable, self against other; reserved_value counts only under a reservation."""
        if self == other:
            return []
        lines = [f"{file}{n}: {a:#018x}, not {b:#018x}" for file in ("x", "f")
                 for n, (a, b) in enumerate(zip(getattr(self, file), getattr(other, file), strict=True)) if a != b]
        names = ["frm", "flags", "reservation", "pc", "reason", "value"]
        if self.reservation != NO_RESERVATION:
            names.append("reserved_value")
        lines += [f"{name}: {getattr(self, name)}, not {getattr(other, name)}" for name in names
                  if getattr(self, name) != getattr(other, name)]
        lines += [f"memory {DATA + n:#x}: {a:#04x}, not {b:#04x}"
                  for n, (a, b) in enumerate(zip(self.page, other.page, strict=True)) if a != b]
        return lines


class Engine(Protocol):
    """Runs one instruction at PC, 4 bytes long, once from each start, and says how each run ended."""
    name: str

    def run(self, instruction: Instruction, starts: Sequence[Start]) -> list[End]: ...


@dataclass(frozen=True)
class Case:
    """A row of data: where it stands, and what it says."""
    row: str
    place: str
    instruction: Instruction
    start: Start
    end: End


def run_case(engine: Engine, case: Case) -> None:
    """Fails with the row and each difference; what the row does not name must be unchanged."""
    [end] = engine.run(case.instruction, [case.start])
    wrong = end.differences(case.end)
    assert not wrong, f"{case.place}: {case.row}\n{engine.name}: " + "\n".join(wrong)


def compare(engine: Engine, reference: Engine, instruction: Instruction, starts: Sequence[Start]) -> None:
    """Fails with the first few starts on which two engines differ."""
    report(instruction, starts, engine.name, engine.run(instruction, starts), reference.name,
           reference.run(instruction, starts))


def report(instruction: Instruction, starts: Sequence[Start], name: str, ends: Sequence[End], other_name: str,
           others: Sequence[End]) -> None:
    """Fails with the first few starts that ended differently."""
    wrong = [(start, lines) for start, end, other in zip(starts, ends, others, strict=True)
             if (lines := end.differences(other))]
    text = "\n".join(f"  {start}\n    " + "\n    ".join(lines) for start, lines in wrong[:5])
    assert not wrong, f"{instruction}: {name} against {other_name}, {len(wrong)} of {len(starts)}:\n{text}"
