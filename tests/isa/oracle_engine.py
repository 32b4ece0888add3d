"""The oracle as an engine of the tests."""

from __future__ import annotations

from collections.abc import Sequence

from dragoman.dbt import oracle
from dragoman.dbt.isa.riscv import FORM
from tests.isa.case import DATA, DATA_SIZE, PC, End, Instruction, Start


class Page:
    """The page at DATA; all else faults at its first byte that is outside."""

    def __init__(self, content: bytes):
        self.content = bytearray(content)

    def check(self, address: int, size: int) -> int:
        for byte in range(address, address + size):
            if not DATA <= byte < DATA + DATA_SIZE:
                raise oracle.GuestFault(byte)
        return address - DATA

    def load(self, address: int, size: int) -> int:
        at = self.check(address, size)
        return int.from_bytes(self.content[at:at + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        at = self.check(address, size)
        self.content[at:at + size] = value.to_bytes(size, "little")


class OracleEngine:
    name = "oracle"

    def run(self, instruction: Instruction, starts: Sequence[Start], emulating: bool = False) -> list[End]:
        return [self.once(instruction, start, emulating) for start in starts]

    def once(self, instruction: Instruction, start: Start, emulating: bool) -> End:
        state = oracle.State(x=[*start.registers("x"), 0], f=start.registers("f"), flags=start.flags)
        state.fields.update(frm=start.frm, reservation=start.reservation, reserved_value=start.reserved_value)
        page = Page(start.page())
        try:
            outcome = oracle.execute(FORM[instruction.form].recipe, instruction.operands, PC, instruction.next_pc,
                                     state, page, emulating=emulating)
        except oracle.GuestFault as fault:
            outcome = oracle.Outcome(PC, "fault", fault.address)
        return End(state.x[:32], state.f, state.fields["frm"], state.flags, state.fields["reservation"],
                   state.fields["reserved_value"], bytes(page.content), *outcome)
