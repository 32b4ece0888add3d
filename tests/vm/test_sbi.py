"""Firmware calls, by the SBI specification 2.0: errors and values of its tables, and that no argument is trusted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.runtime.machine.riscv import sbi
from tests.vm.fake import RAM, RAM_SIZE, Machine

BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, PMU = (0x10, 0x54494D45, 0x735049, 0x52464E43, 0x48534D, 0x53525354, 0x4442434E, 0x504D55)
SUCCESS, FAILED, NOT_SUPPORTED, INVALID_PARAM, INVALID_ADDRESS = 0, -1, -2, -3, -5
ALREADY_AVAILABLE, ALREADY_STARTED, ALREADY_STOPPED, NO_SHMEM = -6, -7, -8, -9
ALL = (1 << 64) - 1
PC = RAM + 0x100


def signed(word):
    return word - (word >> 63 << 64)


def call(hart, extension, function, *arguments):
    """Error and value of one call; it must keep every other register and go on behind the instruction."""
    cpu = hart.cpu
    cpu.pc, cpu.x[:] = PC, [0xDEAD_0000 + n for n in range(33)]
    cpu.x[10:10 + len(arguments)] = [argument & ALL for argument in arguments]
    cpu.x[16], cpu.x[17] = function, extension
    before = list(cpu.x)
    sbi.handle(hart)
    assert cpu.x[:10] + cpu.x[12:] == before[:10] + before[12:]
    assert cpu.pc == PC + 4
    return signed(cpu.x[10]), cpu.x[11]


@pytest.fixture
def machine():
    return Machine(harts=4)


@pytest.fixture
def hart(machine):
    return machine.harts[1]


def test_version_is_2_0(hart):
    assert call(hart, BASE, 0) == (SUCCESS, 0x0200_0000)


@pytest.mark.parametrize("extension", [BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, PMU, 0x00, 0x01, 0x02, 0x08])
def test_extensions_that_are_there(hart, extension):
    assert call(hart, BASE, 3, extension)[1] != 0


@pytest.mark.parametrize("extension", [0x03, 0x09, 0x0F, 0x535553, 0x43505043, 0x4E41434C, 0x535441, 0x53535345, 0x0A00_0000, ALL])
def test_others_are_not(hart, extension):
    assert call(hart, BASE, 3, extension) == (SUCCESS, 0)
    assert call(hart, extension, 0)[0] == NOT_SUPPORTED


@pytest.mark.parametrize(("extension", "function"), [
    (BASE, 7), (TIME, 1), (IPI, 1), (RFENCE, 7), (HSM, 4), (SRST, 1), (DBCN, 3), (PMU, 9), (BASE, ALL), (BASE, 1 << 32),
    (RFENCE, 3), (RFENCE, 4), (RFENCE, 5), (RFENCE, 6),     # no hypervisor extension
    (PMU, 7),                                               # "optional"
])
def test_functions_that_are_not_there(hart, extension, function):
    assert call(hart, extension, function, 0, 0, 0)[0] == NOT_SUPPORTED


def test_timer(hart):
    assert call(hart, TIME, 0, 0x1234_5678_9ABC) == (SUCCESS, 0)
    assert hart.done == [("timer", 0x1234_5678_9ABC)]
    assert call(hart, TIME, 0, ALL) == (SUCCESS, 0)         # "infinitely far into the future"


MASKS = [       # of 4 harts, of which hart 3 is stopped: mask, base, harts reached or None for an error
    (0b0001, 0, [0]), (0b0110, 0, [1, 2]), (0b11, 1, [1, 2]), (0b1, 2, [2]), (0, 0, []), (0b1000, 0, []), (0b1111, 0, [0, 1, 2]),
    (0, ALL, [0, 1, 2]), (0xFFFF, ALL, [0, 1, 2]),          # "hart_mask shall be ignored"
    (0b10000, 0, None), (1 << 63, 0, None), (0b1000, 1, None), (1, 4, None), (1, 1 << 63, None), (1, ALL - 1, None),
]


@pytest.mark.parametrize(("mask", "base", "reached"), MASKS)
def test_hart_masks(machine, hart, mask, base, reached):
    machine.harts[3].started = False
    error = SUCCESS if reached is not None else INVALID_PARAM
    assert call(hart, IPI, 0, mask, base) == (error, 0)
    for function, arguments in (None, ()), (0, ()), (1, (0x1000, 0x1000)), (2, (0x1000, 0x1000, 5)):
        if function is not None:
            assert call(hart, RFENCE, function, mask, base, *arguments) == (error, 0)
        assert [other.hart_id for other in machine.harts if other.done] == (reached or [])
        for other in machine.harts:
            other.done.clear()


@pytest.mark.parametrize(("function", "arguments", "error", "done"), [
    (0, (), SUCCESS, [("fence.i",)]),
    (1, (0x5000, 0x2000), SUCCESS, [("flush", 0x5000, -1), ("flush", 0x6000, -1)]),
    (1, (0x5FFF, 2), SUCCESS, [("flush", 0x5000, -1), ("flush", 0x6000, -1)]),
    (1, (0, 0), SUCCESS, [("flush", -1, -1)]),              # "entire address space"
    (1, (0x5000, ALL), SUCCESS, [("flush", -1, -1)]),
    (1, (0x5000, 1 << 40), SUCCESS, [("flush", -1, -1)]),
    (1, (0x5000, 0), SUCCESS, []),
    (1, (0xFFFF_FFFF_FFFF_F000, 0x1000), SUCCESS, [("flush", 0xFFFF_FFFF_FFFF_F000, -1)]),
    (1, (0xFFFF_FFFF_FFFF_F000, 0x1001), INVALID_ADDRESS, []),
    (2, (0x5000, 0x1000, 7), SUCCESS, [("flush", 0x5000, 7)]),
    (2, (0, 0, 7), SUCCESS, [("flush", -1, 7)]),
    (2, (0x5000, 0x1000, 0xFFFF), SUCCESS, [("flush", 0x5000, 0xFFFF)]),
    (2, (0x5000, 0x1000, 0x10000), INVALID_PARAM, []),
])
def test_remote_fences(machine, hart, function, arguments, error, done):
    assert call(hart, RFENCE, function, 1, 0, *arguments) == (error, 0)
    assert machine.harts[0].done == done


def test_hart_is_started_and_stopped(machine, hart):
    other = machine.harts[2]
    other.started = False
    assert call(hart, HSM, 2, 2) == (SUCCESS, 1)
    assert call(hart, HSM, 0, 2, RAM + 0x200, 0xCAFE) == (SUCCESS, 0)
    assert other.done == [("start", RAM + 0x200, 2, 0xCAFE)]
    assert call(hart, HSM, 2, 2) == (SUCCESS, 0)
    assert call(hart, HSM, 0, 2, RAM + 0x200, 0)[0] == ALREADY_AVAILABLE
    other.cpu.x[16:18] = 1, HSM
    registers = list(other.cpu.x)
    sbi.handle(other)           # "not expected to return"
    assert not other.started and other.cpu.x == registers


@pytest.mark.parametrize(("hart_id", "address", "error"), [
    (4, RAM, INVALID_PARAM), (ALL, RAM, INVALID_PARAM), (2, 0, INVALID_ADDRESS), (2, RAM - 4, INVALID_ADDRESS),
    (2, RAM + RAM_SIZE, INVALID_ADDRESS), (2, ALL - 1, INVALID_ADDRESS), (2, RAM + 1, INVALID_ADDRESS), (1, RAM, ALREADY_AVAILABLE),
])
def test_hart_that_cannot_be_started(machine, hart, hart_id, address, error):
    machine.harts[2].started = False
    assert call(hart, HSM, 0, hart_id, address, 0)[0] == error
    assert machine.harts[2].done == []


@pytest.mark.parametrize(("kind", "error"), [
    (0, SUCCESS), (1, INVALID_PARAM), (0x0FFF_FFFF, INVALID_PARAM), (0x1000_0000, INVALID_PARAM), (0x8000_0000, NOT_SUPPORTED),
    (0x8000_0001, INVALID_PARAM), (0x9000_0000, INVALID_PARAM), (0xFFFF_FFFF_0000_0000, SUCCESS),     # 32 bits
])
def test_suspend(hart, kind, error):
    assert call(hart, HSM, 3, kind, RAM, 0) == (error, 0)
    assert hart.done == ([("wait",)] if error == SUCCESS else [])


@pytest.mark.parametrize("hart_id", [4, 1 << 32, ALL])
def test_status_of_no_hart(hart, hart_id):
    assert call(hart, HSM, 2, hart_id)[0] == INVALID_PARAM


@pytest.mark.parametrize(("kind", "reason", "done"), [
    (0, 0, ("off", 0)), (0, 1, ("off", 1)), (1, 0, ("reset",)), (2, 1, ("reset",)), (1 << 32, 1 << 32, ("off", 0)),
])
def test_reset(machine, hart, kind, reason, done):
    hart.cpu.x[10:12], hart.cpu.x[16:18] = (kind, reason), (0, SRST)
    sbi.handle(hart)
    assert machine.done == [done]


@pytest.mark.parametrize(("kind", "reason"), [(3, 0), (0xF000_0000, 0), (0xFFFF_FFFF, 0), (0, 2), (0, 0xE000_0000), (0, 0xF000_0000)])
def test_reset_of_no_kind(machine, hart, kind, reason):
    assert call(hart, SRST, 0, kind, reason)[0] == INVALID_PARAM
    assert machine.done == []


# ---- console

def test_console_writes_and_reads(machine, hart):
    machine.memory.write(RAM + 16, b"hello")
    assert call(hart, DBCN, 0, 5, RAM + 16, 0) == (SUCCESS, 5)
    assert call(hart, DBCN, 2, 0x121) == (SUCCESS, 0)           # a byte
    assert machine.console.pending() == b"hello!"
    assert call(hart, DBCN, 1, 10, RAM + 32, 0) == (SUCCESS, 0)
    machine.console.type(b"typed")
    assert call(hart, DBCN, 1, 3, RAM + 32, 0) == (SUCCESS, 3)
    assert call(hart, DBCN, 1, 100, RAM + 40, 0) == (SUCCESS, 2)
    assert machine.memory.read(RAM + 32, 11) == b"typ\0\0\0\0\0ed\0"


@pytest.mark.parametrize(("size", "low", "high"), [
    (1, RAM - 1, 0), (2, RAM - 1, 0), (1, RAM + RAM_SIZE, 0), (2, RAM + RAM_SIZE - 1, 0), (ALL, RAM, 0), (RAM_SIZE + 1, RAM, 0),
    (1, RAM, 1), (1, RAM, ALL), (1, ALL, 0), (1, 0, 0),
])
def test_console_memory_outside_ram(machine, hart, size, low, high):
    machine.console.type(b"x")
    for function in (0, 1):
        assert call(hart, DBCN, function, size, low, high) == (INVALID_PARAM, 0)
    assert machine.console.read(1) == b"x" and machine.console.pending() == b""


def test_console_may_write_in_part(machine, hart):
    error, count = call(hart, DBCN, 0, RAM_SIZE, RAM, 0)
    assert error == SUCCESS and 0 < count <= RAM_SIZE


def test_legacy_console(machine, hart):
    assert call(hart, 0x01, 0, ord("a"))[0] == 0
    assert machine.console.pending() == b"a"
    assert call(hart, 0x02, 0)[0] == -1
    machine.console.type(b"\xff")
    assert call(hart, 0x02, 0)[0] == 0xFF
    hart.cpu.x[11], hart.cpu.x[17] = 0x77, 0x02
    sbi.handle(hart)
    assert hart.cpu.x[11] == 0x77, "a1 is not written by legacy calls"
    hart.cpu.x[17] = 0x08
    sbi.handle(hart)
    assert machine.done == [("off", 0)]


# ---- performance counters

def test_counters_are_firmware_counters(hart):
    error, number = call(hart, PMU, 0)
    assert error == SUCCESS and number > 0
    for index in range(number):
        error, info = call(hart, PMU, 1, index)
        assert error == SUCCESS and info >> 63 == 1
    for function in (1, 5, 6):
        for index in (number, ALL):
            assert call(hart, PMU, function, index)[0] == INVALID_PARAM


SET_TIMER, IPI_SENT, IPI_RECEIVED = 0xF0005, 0xF0006, 0xF0007


def test_counter_counts(machine, hart):
    error, index = call(hart, PMU, 2, 0, 0b110, 2, SET_TIMER, 0)
    assert (error, index) == (SUCCESS, 1)
    call(hart, TIME, 0, 1)
    assert call(hart, PMU, 5, index) == (SUCCESS, 0), "not started"
    assert call(hart, PMU, 3, index, 1, 1, 40) == (SUCCESS, 0)
    assert call(hart, PMU, 3, index, 1, 0, 0)[0] == ALREADY_STARTED
    call(hart, TIME, 0, 1)
    call(machine.harts[0], TIME, 0, 1)                      # another hart's
    assert call(hart, PMU, 5, index) == (SUCCESS, 41)
    assert call(hart, PMU, 6, index) == (SUCCESS, 0)
    assert call(hart, PMU, 4, 0, 1 << index, 0) == (SUCCESS, 0)
    assert call(hart, PMU, 4, 0, 1 << index, 0)[0] == ALREADY_STOPPED
    call(hart, TIME, 0, 1)
    assert call(hart, PMU, 5, index) == (SUCCESS, 41)


def test_both_ends_of_an_interrupt_count(machine, hart):
    other = machine.harts[2]
    call(hart, PMU, 2, 0, 1, 6, IPI_SENT, 0)                # cleared and started
    call(other, PMU, 2, 0, 1, 6, IPI_RECEIVED, 0)
    call(hart, IPI, 0, 0b100, 0)
    assert call(hart, PMU, 5, 0) == call(other, PMU, 5, 0) == (SUCCESS, 1)


@pytest.mark.parametrize(("function", "arguments", "error"), [
    (2, (0, 1 << 63, 0, SET_TIMER, 0), INVALID_PARAM), (2, (99, 1, 0, SET_TIMER, 0), INVALID_PARAM), (2, (ALL, 1, 0, SET_TIMER, 0), INVALID_PARAM),
    (2, (0, 1, 0x100, SET_TIMER, 0), INVALID_PARAM),
    (2, (0, 1, 0, 1, 0), NOT_SUPPORTED), (2, (0, 1, 0, 2, 0), NOT_SUPPORTED),       # cycles, instructions
    (2, (0, 1, 0, 0xF0016, 0), NOT_SUPPORTED), (2, (0, 1, 0, SET_TIMER, 1), NOT_SUPPORTED), (2, (0, 0, 0, SET_TIMER, 0), NOT_SUPPORTED),
    (3, (0, 1 << 60, 0, 0), INVALID_PARAM), (3, (0, 1, 4, 0), INVALID_PARAM), (4, (70, 1, 0), INVALID_PARAM), (4, (0, 1, 2), NO_SHMEM),
    (4, (0, 1, 1), ALREADY_STOPPED),
])
def test_counter_errors(hart, function, arguments, error):
    assert call(hart, PMU, function, *arguments)[0] == error


words = st.one_of(st.integers(0, 8), st.integers(RAM - 8, RAM + RAM_SIZE + 8), st.integers(0, ALL), st.integers(ALL - 8, ALL))


@given(st.sampled_from([*sbi.EXTENSIONS, *sbi.LEGACY]), st.one_of(st.integers(0, 8), words), st.lists(words, min_size=6, max_size=6))
def test_no_arguments_raise(extension, function, arguments):
    machine = Machine(harts=3)
    machine.console.type(b"some input")
    hart = machine.harts[1]
    hart.cpu.x[10:16], hart.cpu.x[16], hart.cpu.x[17] = arguments, function, extension
    sbi.handle(hart)
    assert all(0 <= word <= ALL for word in hart.cpu.x)
