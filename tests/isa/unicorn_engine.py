"""Unicorn (QEMU 5.0's translator) as an engine of the tests, for integer forms. 2.1 boxes no NaNs, so no floats."""

from __future__ import annotations

from collections.abc import Sequence

import unicorn
from unicorn import riscv_const

from tests.isa.assemble import encode
from tests.isa.case import DATA, DATA_SIZE, FILLED, PC, End, Instruction, Start

X = [getattr(riscv_const, f"UC_RISCV_REG_X{n}") for n in range(32)]
PAGE = 0x1000


class UnicornEngine:
    name = "unicorn"

    def __init__(self) -> None:
        self.machine = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV64)
        self.machine.mem_map(PC - PAGE, 2 * PAGE)       # branches go forth and back
        self.machine.mem_map(DATA, DATA_SIZE)

    def run(self, instruction: Instruction, starts: Sequence[Start]) -> list[End]:
        """Writes and reads the operands' registers at each start, and looks for strays in all others at the end."""
        machine = self.machine
        machine.mem_write(PC, encode(instruction).to_bytes(4, "little"))
        machine.ctl_remove_cache(PC, PC + 4)
        machine.reg_write_batch(list(zip(X, FILLED["x"], strict=True)))
        used = sorted({n for field, n in instruction.operands.items() if field[0] == "r" and 0 < n < 32})
        ends = [self.once(start, used) for start in starts]
        strays = [n for n, value in enumerate(machine.reg_read_batch(X)) if n not in used and value != FILLED["x"][n]]
        assert not strays, f"{instruction}: unicorn wrote x{strays}"
        return ends

    def once(self, start: Start, used: list[int]) -> End:
        machine = self.machine
        end = End.unchanged(start, PC)
        for n in used:
            machine.reg_write(X[n], end.x[n])
        if start.memory:
            machine.mem_write(DATA, end.page)
        try:
            machine.emu_start(PC, PC + PAGE // 2, count=1)
        except unicorn.UcError as error:
            if error.errno != unicorn.UC_ERR_FETCH_UNMAPPED:    # it looks ahead at the target of a jump
                raise
        end.pc = machine.reg_read(riscv_const.UC_RISCV_REG_PC)
        for n in used:
            end.x[n] = machine.reg_read(X[n])
        if start.memory:
            end.page = bytes(machine.mem_read(DATA, DATA_SIZE))
        return end
