"""Entering and leaving guest code: registers, floating-point control, faults; each case in a process of its own."""

import os
import struct
import traceback

import pytest

from dragoman.dbt.host.x86_64 import SIGBUS, SIGSEGV
from dragoman.dbt.state import CACHE, EXITS, FAULT_INFO, OFFSET
from tests.host.native import GUEST, Host, siginfo


def in_child(case) -> int:  # type: ignore[no-untyped-def]
    """Run case(host) in a child; returns its wait status. A failed assertion prints and gives status 1."""
    pid = os.fork()
    if not pid:
        try:
            host = Host()
            for number in (SIGSEGV, SIGBUS):
                host.calls.set_action(number, "on_fault")
            case(host)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def start(host: Host, name: str):  # type: ignore[no-untyped-def]
    cpu = host.cpu()
    cpu.attach()
    cpu.pc = host.symbols[name]
    return cpu


def test_pinned_registers_go_in_and_come_out():
    def case(host):
        cpu = start(host, "guest_leave")
        for number in range(1, 33):
            cpu.x[number] = number * 0x1111
        assert cpu.run() == EXITS["syscall"]
        assert list(cpu.x)[1:] == [number * 0x1111 for number in range(1, 33)]
    assert in_child(case) == 0


@pytest.mark.parametrize(("tier", "x14"), [("stencil", 8), ("region", 7), ("image", 7)])
def test_a_fault_ends_the_run(tier, x14):
    """In stencils the pins hold the newest values; elsewhere the state has what counts."""
    def case(host):
        cpu = start(host, "guest_keep")
        host.tier(tier)
        cpu._region_pc = lambda host_pc: (0x1000 + GUEST.index("guest_keep"), False)
        record = (host.control._type_ * 4)(0, 0, 0, 0x1000 + GUEST.index("guest_keep"))
        import ctypes
        cpu.record = ctypes.addressof(record)
        cpu.x[10], cpu.x[14] = 0x7000_0000 - host.base, 7
        for _ in range(1000):
            cpu.pc, cpu.x[14] = host.symbols["guest_keep"], 7
            assert cpu.run() == EXITS["fault"]
            assert cpu.exit_data == (0x7000_0000 - host.base) % 2**64
            assert cpu.pc == 0x1000 + GUEST.index("guest_keep")
            assert cpu.x[14] == x14
            assert siginfo(cpu, FAULT_INFO) == (SIGSEGV, 1)
    assert in_child(case) == 0


def test_a_non_canonical_address_is_told_apart():
    def case(host):
        cpu = start(host, "guest_load")
        cpu.x[10] = 1 << 63
        assert cpu.run() == EXITS["fault"]
        assert siginfo(cpu, FAULT_INFO) == (SIGSEGV, 0x80)
    assert in_child(case) == 0


def test_a_fault_of_the_decoder_is_a_fetch_fault_and_frees_the_lock():
    def case(host):
        cpu = start(host, "guest_load")
        cpu.x[10], cpu.in_resolve = 0x7000_0000 - host.base, 1
        host.set("lock", 1)
        assert cpu.run() == EXITS["fetch"]
        assert (cpu.in_resolve, host.control[CACHE["lock"] // 8]) == (0, 0)
    assert in_child(case) == 0


def test_a_fault_outside_guest_code_kills_the_host():
    def case(host):
        cpu = start(host, "guest_load")
        host.tier("none")
        cpu.x[10] = 0x7000_0000 - host.base
        cpu.run()
    status = in_child(case)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == SIGSEGV


def test_a_sent_segv_is_noted_as_a_signal():
    def case(host):
        import ctypes

        from dragoman.dbt.host.x86_64 import SENT_INFO
        cpu = start(host, "guest_spin")
        os.kill(os.getpid(), SIGSEGV)
        assert cpu.pending == 1 << SIGSEGV - 1
        assert siginfo(cpu, SENT_INFO) == (SIGSEGV, 0)
        assert cpu.run() == EXITS["poll"]
        assert ctypes.c_uint8.from_address(host.base).value == 0
    assert in_child(case) == 0


def test_floating_point_control_is_the_guests_inside_and_the_hosts_outside():
    def case(host):
        cpu = start(host, "guest_divide")
        three = struct.unpack("<Q", struct.pack("<d", 3.0))[0]
        results = {}
        for mode in range(4):
            cpu.frm, cpu.fflags = mode, 0
            cpu.x[10], cpu.pc = three, host.symbols["guest_divide"]
            cpu.run()
            results[mode] = cpu.x[15]
            assert cpu.fflags == 1                      # inexact
            assert cpu.fcsr == mode << 5 | 1
            assert 1.0 / 3.0 == 0.3333333333333333      # Python rounds to nearest
        assert results[3] == results[0] + 1 and results[0] == results[1] == results[2]
        cpu.x[10], cpu.pc = 0, host.symbols["guest_divide"]
        cpu.run()
        assert cpu.fflags == 0b01001                    # and divide by zero
        cpu.fcsr = 0xFF
        assert (cpu.frm, cpu.fflags) == (7, 31)
    assert in_child(case) == 0


def test_a_copy_has_registers_and_rounding_but_no_reservation():
    def case(host):
        one, other = host.cpu(), host.cpu()
        one.x[5], one.f[31], one.fcsr, one.pc, one.reservation = 55, 77, 0x65, 0x1234, 4
        other.copy_registers(one)
        assert (other.x[5], other.f[31], other.fcsr, other.pc) == (55, 77, 0x65, 0x1234)
        assert other.reservation == 2**64 - 1
        other.reset_registers()
        assert (other.x[5], other.f[31], other.fcsr) == (0, 0, 0)
        assert other.words[OFFSET["mxcsr"] // 8] & 0xFFFF_FFFF == 0x1F80
    assert in_child(case) == 0
