"""`dragoman.machine.Machine`: run, pause, step, registers, memory, a device of one's own, console."""

import struct
import threading

import pytest

from dragoman.machine import Machine, MachineError
from dragoman.runtime.machine.bus import BusError

RAM, UART, FINISHER, MINE = 0x8000_0000, 0x1000_0000, 0x10_0000, 0x3000_0000
# Encodings by the unprivileged manual; assembled with GNU as and compared.
ADDI_A0_1, JUMP_BACK = 0x0015_0513, 0xFFDF_F06F         # addi a0, a0, 1; j .-4
LUI_A1_MINE, LW_A2, SW_A2 = 0x3000_05B7, 0x0005_A603, 0x00C5_A223    # lui a1, 0x30000; lw a2, 0(a1); sw a2, 4(a1)


@pytest.fixture
def firmware(tmp_path):
    """Writes code that starts in machine mode at the beginning of RAM."""
    def write(*words):
        path = tmp_path / "firmware.bin"
        path.write_bytes(struct.pack(f"<{len(words)}I", *words))
        return str(path)
    return write


@pytest.fixture
def counter(firmware):
    machine = Machine(bios=firmware(ADDI_A0_1, JUMP_BACK), memory="16M", compiler="off")
    machine.start(paused=True)
    yield machine
    machine.stop()
    machine.wait()


def test_starts_paused_at_the_first_instruction(counter):
    assert counter.harts[0].registers["pc"] == RAM
    assert counter.harts[0].registers["mode"] == 3


def test_steps_one_instruction_at_a_time(counter):
    registers = counter.harts[0].registers
    before = registers["a0"]
    counter.step()
    assert (registers["pc"], registers["a0"]) == (RAM + 4, before + 1)
    counter.step()
    assert (registers["pc"], registers["a0"]) == (RAM, before + 1)


def test_runs_between_pauses(counter):
    registers = counter.harts[0].registers
    counter.resume()
    threading.Event().wait(0.05)
    counter.pause()
    first = registers["x10"]
    assert first > 100 and registers["pc"] in (RAM, RAM + 4)
    assert registers["a0"] == first                     # it stands still


def test_registers_are_changed(counter):
    registers = counter.harts[0].registers
    registers["a0"], registers["zero"], registers["ft0"], registers["mscratch"] = 41, 5, 1 << 63, 7
    counter.step()
    assert [registers[name] for name in ("a0", "x0", "f0", "mscratch")] == [42, 0, 1 << 63, 7]
    registers["misa"] = 0                               # read-only here: a write is ignored (privileged manual 3.1.1)
    assert registers["misa"] != 0
    with pytest.raises(KeyError):
        registers["a99"] = 1


def run_to(machine, *places):
    """Until its first hart is in a loop at one of these addresses; it is paused then."""
    machine.resume()
    while True:
        threading.Event().wait(0.02)
        machine.pause()
        if machine.harts[0].registers["pc"] in places:
            return
        machine.resume()


@pytest.mark.parametrize("engine", ["interpreter", "stencil", "region"])
@pytest.mark.parametrize(("cpu", "answer", "b"), [("rv64gcb", 110, 1), ("rv64gc", 2, 0)])
def test_instructions_of_the_chosen_cpu(firmware, cpu, answer, b, engine):
    """sh1add is 2 * a1 + a2, or exception 2, illegal instruction; misa has a bit for B (privileged manual 3.1.1)."""
    words = (0x0000_0697, 0x0186_8693,                  # auipc a3, 0; addi a3, a3, 24
             0x3056_9073, 0x3010_2773,                  # csrw mtvec, a3; csrr a4, misa
             0x20C5_A533, 0x0000_006F,                  # sh1add a0, a1, a2; j .
             0x3420_2573, 0x0000_006F)                  # csrr a0, mcause; j .
    machine = Machine(bios=firmware(*words), memory="16M", compiler="inline", threshold=1, engine=engine, cpu=cpu)
    machine.start(paused=True)
    registers = machine.harts[0].registers
    registers["a1"], registers["a2"] = 5, 100
    run_to(machine, RAM + 20, RAM + 28)
    assert registers["a0"] == answer and registers["a4"] >> 1 & 1 == b
    registers["pc"], registers["a0"] = RAM + 16, 0      # as a debugger steps
    machine.step()
    assert (registers["pc"], registers["a0"]) == ((RAM + 20, 110) if b else (RAM + 24, 0))
    machine.stop()
    machine.wait()


def test_no_such_cpu(firmware):
    with pytest.raises(MachineError, match="rv64gc, rv64gcb"):
        Machine(bios=firmware(JUMP_BACK), memory="16M", cpu="rv64g")


def test_memory_is_read_and_written(counter):
    assert counter.read(RAM, 8) == struct.pack("<II", ADDI_A0_1, JUMP_BACK)
    counter.write(RAM + 0x1000, b"dragoman")
    assert counter.harts[0].read(RAM + 0x1002, 5) == b"agoma"
    counter.harts[0].write(RAM + 0x1003, b"XYZ")
    assert counter.read(RAM + 0x1000, 8) == b"draXYZan"
    with pytest.raises(BusError):
        counter.harts[0].read(0x5000_0000, 4)


def test_a_device_of_ones_own_answers(firmware):
    class Doubler:
        size, seen = 8, 21

        def read(self, offset, size):
            return self.seen * 2

        def write(self, offset, size, value):
            self.written = offset, size, value
    machine = Machine(bios=firmware(LUI_A1_MINE, LW_A2, SW_A2, JUMP_BACK), memory="16M", compiler="off")
    device = Doubler()
    machine.add_device(MINE, device)
    machine.start(paused=True)
    for _ in range(3):
        machine.step()
    assert device.written == (4, 4, 42)
    machine.stop()
    assert machine.wait() == 0


def test_a_file_that_is_not_there_is_one_line():
    with pytest.raises(MachineError, match="/no/such/kernel: No such file"):
        Machine(kernel="/no/such/kernel", memory="16M", compiler="off")


def test_options_that_cannot_be_are_refused():
    with pytest.raises(MachineError):
        Machine(bios="x", cpus=99)


def test_rounding_that_no_host_has(firmware):
    """1 + 2**-24 is a tie: to nearest, ties to max magnitude (rmm, 4) gives 1 + 2**-23 (unprivileged manual, F, rounding modes)."""
    words = (0x0000_6537,                               # lui a0, 6: mstatus.FS
             0x3005_2073,                               # csrs mstatus, a0
             0x0022_5073,                               # csrwi frm, 4
             0x00A5_F553,                               # fadd.s fa0, fa1, fa0, dyn
             0x3000_55F3,                               # csrrwi a1, mstatus, 0: floating point is off again
             0x0000_006F)                               # j .
    machine = Machine(bios=firmware(*words), memory="16M", compiler="off")
    machine.start(paused=True)
    registers = machine.harts[0].registers
    registers["fa0"], registers["fa1"] = 0xFFFF_FFFF_3380_0000, 0xFFFF_FFFF_3F80_0000
    run_to(machine, RAM + 20)
    assert registers["fa0"] == 0xFFFF_FFFF_3F80_0001
    machine.stop()
    machine.wait()


@pytest.mark.parametrize("engine", ["interpreter", "stencil"])
def test_a_site_that_always_declines_becomes_a_trap(firmware, engine):
    """Only interrupt masks are changed inline; setting SUM leaves native code, at first after trying inline."""
    words = (0x0004_0537,                               # lui a0, 0x40: mstatus.SUM
             0x3E80_0593,                               # li a1, 1000
             0x3005_2073,                               # csrs mstatus, a0
             0xFFF5_8593,                               # addi a1, a1, -1
             0xFE05_9CE3,                               # bnez a1, .-8
             0x0010_0073)                               # ebreak
    machine = Machine(bios=firmware(*words), memory="16M", compiler="off", engine=engine)
    machine.start(paused=True)
    hart = machine._monitor.harts[0]
    machine.resume()
    while not hart.register("stat_trap_3"):
        threading.Event().wait(0.02)
    machine.pause()
    assert hart.register("stat_exit_declined") == 64
    assert hart.register("stat_exit_system") >= 1000 - 64 - 1
    assert machine._monitor.engine.adapted == {RAM + 8}
    assert machine.harts[0].registers["mstatus"] >> 18 & 1
    machine.stop()
    machine.wait()
