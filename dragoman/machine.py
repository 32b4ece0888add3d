"""Machines from Python: `Machine(kernel=...)` runs one in this process, and shows and changes what is inside.

    from dragoman.machine import Machine

    machine = Machine(kernel="vmlinux", initrd="initrd.gz", append="console=ttyS0", memory="256M")
    machine.add_device(0x1000_9000, Counter())
    machine.on_output(print)
    machine.start()
    machine.pause()
    print(machine.harts[0].registers["pc"], machine.read(0x8000_0000, 16))
    machine.resume()
    status = machine.wait()
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from dragoman.arguments import size as read_size
from dragoman.dbt.isa.riscv import REGISTER_NAMES
from dragoman.dbt.isa.riscv.system_registers import NAMES as SYSTEM_REGISTERS
from dragoman.runtime.machine.machine import Machine as Monitor
from dragoman.runtime.machine.options import MachineError, MachineOptions, check, read_disk, read_share

if TYPE_CHECKING:
    from dragoman.runtime.machine.device import Device, InterruptLine
    from dragoman.runtime.machine.vcpu import Vcpu

__all__ = ["Hart", "Machine", "MachineError", "Registers"]
_PATHS = ("kernel", "initrd", "bios")
_X = {name: number for number, name in enumerate(REGISTER_NAMES["x"])} | {f"x{n}": n for n in range(32)}
_F = {name: number for number, name in enumerate(REGISTER_NAMES["f"])} | {f"f{n}": n for n in range(32)}
_WORD = (1 << 64) - 1


class Registers(MutableMapping[str, int]):
    """A hart's registers by name: pc, x0 to x31 and f0 to f31 by these names or those of the calling convention, fcsr, mode, and the
    system registers. Unsigned, 64 bits; floats as bits. To be used while the machine is paused. KeyError: no such register."""

    def __init__(self, hart: Vcpu) -> None:
        self._hart, self._cpu = hart, hart.cpu

    def __getitem__(self, name: str) -> int:
        if name in _X:
            return self._cpu.x[_X[name]]
        if name in _F:
            return self._cpu.f[_F[name]]
        if name in ("pc", "fcsr"):
            return getattr(self._cpu, name)
        if name in SYSTEM_REGISTERS:
            return self._hart.register(name)
        raise KeyError(name)

    def __setitem__(self, name: str, value: int) -> None:
        """x0 stays 0. A system register takes only what is legal for it, as by the guest's own instruction."""
        if name in _X:
            if _X[name]:
                self._cpu.x[_X[name]] = value & _WORD
        elif name in _F:
            self._cpu.f[_F[name]] = value & _WORD
        elif name == "pc":
            self._cpu.pc = value & _WORD & ~1
        elif name == "fcsr":
            self._cpu.fcsr = value & 0xFF
        elif name in SYSTEM_REGISTERS:
            self._hart.write_system_register(name, value & _WORD)
        else:
            raise KeyError(name)

    def __delitem__(self, name: str) -> None:
        raise TypeError("registers cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(("pc", *REGISTER_NAMES["x"], *REGISTER_NAMES["f"], "fcsr", *SYSTEM_REGISTERS))

    def __len__(self) -> int:
        return 2 + 64 + len(SYSTEM_REGISTERS)


class Hart:
    """One of a machine's harts. `number` is its hart id."""

    def __init__(self, vcpu: Vcpu) -> None:
        self._vcpu, self.number = vcpu, vcpu.hart_id
        self.registers = Registers(vcpu)

    @property
    def started(self) -> bool:
        """Whether it runs guest code at all (SBI's hart states)."""
        return self._vcpu.started

    def read(self, address: int, size: int) -> bytes:
        """Memory at a virtual address, as a load of this hart would see it now. Raises LookupError where that would fault."""
        return self._vcpu.peek(address, size)

    def write(self, address: int, data: bytes) -> None:
        """The same for stores."""
        self._vcpu.poke(address, data)

    def step(self) -> None:
        """Execute one instruction; a trap that it takes, or an interrupt that is due, is taken instead. The machine is paused."""
        self._vcpu.step_paused()


class Machine:
    """A virtual machine. Options are those of `dragoman vm run`, by their names (disks and shares are lists of such texts); sizes are
    numbers of bytes or texts such as "256M". Raises MachineError, and OSError where the host lacks something."""

    def __init__(self, **options: Any) -> None:
        for name in _PATHS:
            if options.get(name) is not None:
                options[name] = os.fsencode(options[name])
        if isinstance(options.get("memory"), str):
            options["memory"] = read_size(options["memory"])
        options["disks"] = tuple(read_disk(text) if isinstance(text, str) else text for text in options.get("disks", ()))
        options["shares"] = tuple(read_share(text) if isinstance(text, str) else text for text in options.get("shares", ()))
        self.options = MachineOptions(**options)
        check(self.options)
        self._statistics = ""                           # at the end
        self._monitor = Monitor(self.options)
        self.harts = [Hart(vcpu) for vcpu in self._monitor.harts]

    # --- life
    def start(self, paused: bool = False) -> None:
        """Boot. paused: before the first instruction."""
        if paused:
            self._monitor.paused = True
        self._monitor.start()
        if paused:
            self._monitor.pause()

    def run(self) -> int:
        """Start, and wait for the end; the exit status."""
        self.start()
        return self.wait()

    def wait(self) -> int:
        """Until the guest has switched itself off, or `stop`; the exit status."""
        self._monitor.wait()
        status = self._monitor.close()
        self._statistics = self._monitor.statistics()
        self._monitor.release()
        return status

    def stop(self) -> None:
        """Cut the power."""
        self._monitor.stop()

    def pause(self) -> None:
        """No hart executes anything when this returns."""
        self._monitor.pause()

    def resume(self) -> None:
        self._monitor.resume()

    @property
    def ended(self) -> bool:
        return self._monitor.ended

    def step(self, hart: int = 0) -> None:
        """One instruction of a hart; see Hart.step."""
        self.harts[hart].step()

    # --- memory and devices
    def read(self, address: int, size: int) -> bytes:
        """RAM at a physical address. Raises BusError."""
        return self._monitor.memory.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        self._monitor.memory.write(address, data)

    def add_device(self, address: int, device: Device) -> None:
        """Put a device of one's own (size, read, write: runtime/machine/device.py) at a physical address. ValueError: it is taken."""
        self._monitor.board.bus.map(address, device)

    def line(self, source: int) -> InterruptLine:
        """A wire to the interrupt controller, for a device of one's own: `line(12).set(True)`."""
        return self._monitor.board.plic.line(source)

    # --- console and events
    def on_output(self, receive: Callable[[bytes], object]) -> None:
        """`receive` gets what the guest writes to its console, in threads of the machine; it must not wait."""
        console = self._monitor.console

        def take() -> None:
            data = console.pending()
            console.shown(len(data))
            receive(data)
        console.attach(lambda: self._monitor.events.post(take))

    def type(self, data: bytes) -> int:
        """Type on the console; returns how many bytes there was room for."""
        return self._monitor.console.type(data)

    def after(self, seconds: float, call: Callable[[], object]) -> object:
        """Call back later, in the machine's event thread, with its lock held."""
        return self._monitor.events.after(seconds, call)

    def statistics(self) -> str:
        """What `--stats` prints."""
        return self._statistics or self._monitor.statistics()
