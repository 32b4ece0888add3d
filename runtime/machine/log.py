"""The log of a machine (-d): the translator's, and beside it traps, translations of addresses, and accesses to devices."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dragoman.dbt.log import ITEMS, Log
from dragoman.runtime.machine import log_text
from dragoman.runtime.machine.equipment import complain
from dragoman.runtime.machine.options import MachineError
from dragoman.runtime.memory.frames import REQUEST_NOTES
from dragoman.runtime.memory.notes import FILL, REFUSED, TRAP, Notes
from dragoman.runtime.process.log import write
from dragoman.runtime.process.symbols import Table

if TYPE_CHECKING:
    from dragoman.dbt.cpu import Cpu
    from dragoman.runtime.machine.machine import Machine
    from dragoman.runtime.machine.vcpu import Vcpu

NOTED = {"exceptions": (TRAP,), "mmu": (FILL, REFUSED)}       # what compiled code notes, by item
OWN_ITEMS = frozenset((*NOTED, "devices"))
STANDARD_ERROR = 2


class MachineLog:
    """Made before the harts are, if -d asks for anything. Raises MachineError if the log file cannot be written."""

    def __init__(self, machine: Machine) -> None:
        options = machine.options
        self.machine, self.items = machine, options.log
        self.fd, self.lost = STANDARD_ERROR, False
        if options.log_file is not None:
            try:
                self.fd = os.open(options.log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise MachineError(f"-D: {os.fsdecode(options.log_file)}: {error.strerror}") from None
        self._symbols = [Table(path) for path in (options.kernel, options.bios) if path is not None]
        self._notes: dict[int, Notes] = {}                    # by address of the CPU
        self._numbers: dict[int, int] = {}
        self._kinds = [kind for item, kinds in NOTED.items() if item in self.items for kind in kinds]
        if ITEMS & self.items:
            machine.engine.log = Log(machine.engine, self.items, options.log_ranges,        # type: ignore[assignment]
                                     self.write, self.symbol, lambda: None, self.who)

    def close(self) -> None:
        """The machine has ended."""
        if self.fd != STANDARD_ERROR:
            os.close(self.fd)

    def write(self, text: str) -> None:
        """Lines, without the last newline. What cannot be written is lost, and said to be so once."""
        problem = write(self.fd, text.encode(errors="surrogateescape") + b"\n")
        path = self.machine.options.log_file
        if problem and path is not None and not self.lost:
            self.lost = True
            complain(f"{os.fsdecode(path)}: {problem}: lines are lost")

    def symbol(self, address: int) -> str:
        """Name of a guest address, by the symbol tables of kernel and firmware, where those are ELF files that have one."""
        return next((name for table in self._symbols if (name := table.at(address))), "")

    def who(self, cpu: Cpu) -> str:
        return f"hart{self._numbers[cpu.address]}"

    # --- virtual CPUs, in their own threads
    def attach(self, vcpu: Vcpu) -> None:
        """What this virtual CPU's compiled code notes is written down from now on."""
        self._numbers[vcpu.cpu.address] = vcpu.hart_id
        if self._kinds:
            notes = self._notes[vcpu.cpu.address] = Notes(self._kinds)
            vcpu.set_register("notes", notes.address)

    def drain(self, vcpu: Vcpu) -> None:
        """Write down what was noted."""
        notes = self._notes.get(vcpu.cpu.address)
        if notes is None:
            return
        vcpu.native.clear_bits(vcpu.cpu.address + log_text.REQUEST, REQUEST_NOTES)
        events, lost = notes.take()
        lines = [line for event in events for line in log_text.event(self, vcpu.hart_id, event)]
        if lost:
            lines.append(f"{lost} more events of hart{vcpu.hart_id} came at once and are not shown")
        if lines:
            self.write("\n".join(lines))

    def shown(self, address: int) -> bool:
        """Whether what is about this guest address is to be logged."""
        ranges = self.machine.options.log_ranges
        return not ranges or any(first <= address <= last for first, last in ranges)

    # --- devices
    def device(self, name: str, what: str, offset: int, size: int, value: int) -> None:
        """An access to a register; the bus calls it with the machine's lock held."""
        self.write(f"devices {name}+0x{offset:x}: {what} of {size}: 0x{value:0{2 * size}x}")
