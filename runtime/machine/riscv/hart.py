"""A RISC-V hart: its interrupt wires, its timers, its start; what else the board and the firmware calls ask of it."""

from __future__ import annotations

from dragoman.dbt.compiled import wrap
from dragoman.dbt.isa.levels import WITH_BITS
from dragoman.dbt.isa.riscv import REGISTER_NAMES
from dragoman.dbt.isa.riscv.csr import FIRST_MODE_HOSTS_LACK
from dragoman.dbt.isa.riscv.system_registers import M_MODE, MSTATUS_FS, S_MODE
from dragoman.runtime.machine.riscv.csr_table import NUMBERS
from dragoman.runtime.machine.riscv.csrs import reset
from dragoman.runtime.machine.riscv.interrupts import MEI, MSI, SEI, SSI
from dragoman.runtime.machine.vcpu import MASK, Vcpu

A0, A1, A2 = 10, 11, 12
TIME_BASE = 10_000_000          # Hz
LOAD_ACCESS_FAULT, STORE_ACCESS_FAULT = 5, 7        # causes


MODES = {0: "U", 1: "S", 3: "M"}
SHOWN = ("mstatus", "medeleg", "mideleg", "mie", "mip", "satp", "mtvec", "mepc", "mcause", "mtval", "stvec", "sepc", "scause", "stval")


class Hart(Vcpu):
    """Board wires (riscv/board.py, Hart) may come from any thread; the rest is for its own."""

    privilege = S_MODE          # at a start; M_MODE where the guest has its own firmware
    a2 = 0                      # its third argument

    # --- wires
    def set_machine_external(self, level: bool) -> None: self.set_line(1 << MEI, level)
    def set_supervisor_external(self, level: bool) -> None: self.set_line(1 << SEI, level)
    def set_software(self, level: bool) -> None: self.set_line(1 << MSI, level)
    def send_ipi(self) -> None: self.set_line(1 << SSI, True)

    # --- time
    def time(self) -> int:
        if self.machine.rounds is not None:
            self.machine.rounds.show_time(self)         # another one may run just now
        return self.native.now_ticks(self.cpu.address) & MASK

    def set_time(self, ticks: int) -> None:
        self.set_register("clock_offset", self.register("clock_offset") + ticks - self.time())
        self.kick()

    def skip_time(self, ticks: int) -> None:
        self.set_register("clock_offset", self.register("clock_offset") - ticks)
        self.do(self.refresh_timers)

    @property
    def timecmp(self) -> int:
        return self.register("mtimecmp")

    @timecmp.setter
    def timecmp(self, ticks: int) -> None:
        self.set_register("mtimecmp", ticks)
        self.do(self.refresh_timers)

    def set_timer(self, ticks: int) -> None:
        """Supervisor timer interrupts from this time on (SBI)."""
        self.set_register("stimecmp", ticks)
        self.refresh_timers()

    def refresh_timers(self) -> None:
        """A compare register was written: pending bits and the deadline follow, in the hart's thread."""
        self.native.update_timers(self.cpu.address)

    # --- life
    def reset(self, pc: int, a0: int, a1: int) -> None:
        """Privileged manual 3.4, or SBI's hart_start where the monitor is the firmware."""
        cpu = self.cpu
        cpu.reset_registers()
        options = self.machine.options
        reset(cpu.address, self.hart_id, self.privilege != M_MODE, options.accessed == "hardware", options.cpu == WITH_BITS)
        self.native.switch_context(cpu.address)
        self.native.update_timers(cpu.address)
        cpu.pc, cpu.x[A0], cpu.x[A1], cpu.x[A2] = pc, a0, a1, self.a2

    def access_fault(self, address: int, write: bool) -> None:
        cause = STORE_ACCESS_FAULT if write else LOAD_ACCESS_FAULT
        if not self.native.raise_trap(self.cpu.address, cause, wrap(address)):
            self.on_stuck()

    def interrupt_pending(self) -> bool:
        return bool(self.native.enabled_pending(self.cpu.address))

    def write_system_register(self, name: str, value: int) -> None:
        if name in NUMBERS:
            self.native.csr_write(self.cpu.address, NUMBERS[name], wrap(value))
        else:
            self.set_register(name, value)
        self.native.switch_context(self.cpu.address)

    def rounds_as_no_host(self) -> bool:
        return self.cpu.frm >= FIRST_MODE_HOSTS_LACK and self.register("mstatus") & MSTATUS_FS != 0

    def describe(self) -> str:
        rows = [(name, self.cpu.x[number]) for number, name in enumerate(REGISTER_NAMES["x"]) if number]
        rows = [("pc", self.cpu.pc), *rows, *((name, self.register(name)) for name in SHOWN)]
        cells = [f"{name:>8} {value:016x}" for name, value in rows]
        lines = [" ".join(cells[at:at + 4]) for at in range(0, len(cells), 4)]
        return "\n".join([f"hart {self.hart_id} in mode {MODES[self.register('mode')]}", *lines])

    def wait(self) -> None:
        """As the instruction wfi."""
        self.on_wait()
