"""Signals and blocking system calls: noted once, in order, never lost; calls that were not made yet are not made."""

import _thread
import ctypes
import os
import signal
import time

from dragoman.dbt.host.calls import SA_RESTART, Frame
from dragoman.dbt.host.x86_64 import NOT_MADE
from dragoman.dbt.state import EXITS, SIGINFO
from tests.host.native import EINTR, Host, siginfo
from tests.host.test_entry import in_child, start

READ, FUTEX, RT_SIGPROCMASK, TGKILL = 0, 202, 14, 234
REALTIME = 40
TASK_SLEEPS = ("S", "D")


def sleeping(tid: int) -> None:
    """Wait until a thread of this process sleeps in the kernel."""
    while True:
        with open(f"/proc/self/task/{tid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] in TASK_SLEEPS:
                return
        os.sched_yield()


def test_a_signal_ends_a_loop_and_waits_for_the_runtime():
    def case(host):
        host.calls.set_action(signal.SIGUSR1, "on_signal")
        cpu = start(host, "guest_spin")
        tid = _thread.get_native_id()
        _thread.start_new_thread(lambda: (time.sleep(0.01), signal.pthread_kill(_main(), signal.SIGUSR1)), ())
        assert cpu.run() == EXITS["poll"]
        assert cpu.pending == 1 << signal.SIGUSR1 - 1
        assert siginfo(cpu) == (signal.SIGUSR1, -6)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert signal.SIGUSR2 in blocked and signal.SIGSEGV not in blocked and tid == os.getpid()
    assert in_child(case) == 0


def _main() -> int:
    import threading
    return threading.main_thread().ident or 0


def test_queued_real_time_signals_arrive_in_order_with_their_values():
    def case(host):
        host.calls.set_action(REALTIME, "on_signal")
        cpu = start(host, "guest_spin")
        values = []
        libc = ctypes.CDLL(None)
        signal.pthread_sigmask(signal.SIG_BLOCK, {REALTIME})
        for value in range(500):
            info = (ctypes.c_int32 * 32)(REALTIME, 0, -1, 0, os.getpid(), os.getuid(), value)
            assert libc.syscall(129, os.getpid(), REALTIME, info) == 0          # rt_sigqueueinfo
        for _ in range(500):
            host.calls.set_mask(0)
            cpu.pc = host.symbols["guest_spin"]
            assert cpu.run() == EXITS["poll"]
            values.append(ctypes.c_int32.from_address(cpu.address + SIGINFO + 24).value)
            cpu.pending = 0
        assert values == list(range(500))
    assert in_child(case) == 0


def test_a_blocked_read_is_interrupted_or_made_again_as_the_flags_say():
    for flags, first in ((0, EINTR), (SA_RESTART, NOT_MADE)):
        def case(host, flags=flags, first=first):
            host.calls.set_action(signal.SIGUSR1, "on_signal", flags)
            cpu = start(host, "guest_spin")
            outlet, inlet = os.pipe()
            byte = ctypes.c_uint64()
            read = Frame(READ, outlet, ctypes.addressof(byte), 1)
            tid = _thread.get_native_id()

            def send() -> None:
                host.calls.set_mask(0xFFFF_FFFF_FFFF_FFFF)
                sleeping(tid)
                os.kill(os.getpid(), signal.SIGUSR1)
            _thread.start_new_thread(send, ())
            assert host.calls.safe_call(cpu.address, read.address) == first
            assert host.calls.safe_call(cpu.address, read.address) == NOT_MADE       # not taken yet
            cpu.pending = 0
            host.calls.set_mask(0)
            os.write(inlet, b"x")
            assert host.calls.safe_call(cpu.address, read.address) == 1
            assert byte.value == ord("x")
        assert in_child(case) == 0


def test_no_signal_is_lost_between_test_and_system_call():
    """100,000 rounds: a signal aimed at the moment of a futex wait; a wait that lasts to its end lost its wake-up."""
    rounds = 100_000

    def case(host):
        host.calls.set_action(signal.SIGUSR1, "on_signal")
        word, at, none = ctypes.c_uint64(), ctypes.c_uint64(), ctypes.c_uint64()
        timeout = (ctypes.c_int64 * 2)(2, 0)
        wait = Frame(FUTEX, ctypes.addressof(word), 128, 0, ctypes.addressof(timeout))
        unblock = Frame(RT_SIGPROCMASK, signal.SIG_SETMASK, ctypes.addressof(none), 0, 8)
        counts = (ctypes.c_int64 * 4)()
        waiter, sender = host.function("waiter", 6), host.function("sender", 3)
        begin, ready, done = _thread.allocate_lock(), _thread.allocate_lock(), _thread.allocate_lock()
        for lock in (begin, ready, done):
            lock.acquire()
        who = []
        cpu = host.cpu()
        cores = sorted(os.sched_getaffinity(0))

        def wait_rounds() -> None:
            cpu.attach()
            host.calls.set_mask(0)
            os.sched_setaffinity(0, {cores[0]})          # left alone, both may spin on one core for a time slice each
            who.append(_thread.get_native_id())
            ready.release()
            waiter(cpu.address, ctypes.addressof(at), wait.address, unblock.address, rounds, ctypes.addressof(counts))
            done.release()
        host.calls.set_mask(0xFFFF_FFFF_FFFF_FFFF)
        _thread.start_new_thread(wait_rounds, ())
        ready.acquire()
        os.sched_setaffinity(0, {cores[-1]})
        kill = Frame(TGKILL, os.getpid(), who[0], signal.SIGUSR1)
        sender(ctypes.addressof(at), kill.address, rounds)
        done.acquire()
        not_made, interrupted, lost, late = counts
        assert lost == 0, list(counts)
        assert not_made and interrupted and not_made + interrupted + late == rounds, list(counts)
    assert in_child(case) == 0


def test_signals_32_and_33_can_be_handled():
    def case(host: Host) -> None:
        cpu = start(host, "guest_spin")
        for number in (32, 33, 64):
            host.calls.set_action(number, "on_signal")
            assert host.calls.action(number)[0] == host.symbols["on_signal"]
            os.kill(os.getpid(), number)
            assert cpu.pending == 1 << number - 1
            cpu.pending = 0
            host.calls.set_mask(0)
    assert in_child(case) == 0


def test_a_thread_that_is_no_guests_passes_a_signal_on():
    def case(host):
        host.calls.set_action(REALTIME, "on_signal")
        cpu = start(host, "guest_spin")
        signal.pthread_sigmask(signal.SIG_BLOCK, {REALTIME})
        libc = ctypes.CDLL(None)

        def stray() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {REALTIME})
            info = (ctypes.c_int32 * 32)(REALTIME, 0, -1, 0, os.getpid(), os.getuid(), 77)
            assert libc.syscall(129, os.getpid(), REALTIME, info) == 0
            signal.pthread_sigmask(signal.SIG_BLOCK, {REALTIME})
            done.release()
        done = _thread.allocate_lock()
        done.acquire()
        _thread.start_new_thread(stray, ())
        done.acquire()
        host.calls.set_mask(0)
        assert cpu.run() == EXITS["poll"]
        assert ctypes.c_int32.from_address(cpu.address + SIGINFO + 24).value == 77
    assert in_child(case) == 0
