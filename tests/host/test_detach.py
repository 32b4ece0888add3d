"""Processes that are nobody's children."""

import ctypes
import os
import signal

import pytest

from tests.host import native

READ, WRITE = 0, 1               # Linux, x86-64
WALL = 0x4000_0000


def steps(*rows):
    words = [word for row in (*rows, (-1, 0, 0, 0)) for word in row]
    return (ctypes.c_int64 * len(words))(*words)


def test_it_makes_its_calls_with_all_signals_blocked_and_is_nobodys_child():
    detach = native.HostCalls(native.build()).detach
    reading, writing = os.pipe()
    going, wait = os.pipe()
    byte = ctypes.create_string_buffer(8)
    table = steps((READ, going, ctypes.addressof(byte), 1), (WRITE, writing, ctypes.addressof(byte), 1))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    gone = detach(ctypes.addressof(table))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)                  # a child without an exit signal is not found
    assert os.waitpid(gone, WALL) == (gone, 0)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, WALL)
    made, = [int(name) for name in os.listdir("/proc") if name.isdigit() and has_open(name, writing) and int(name) != os.getpid()]
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{made}/status").read().splitlines())
    assert int(status["PPid"]) not in (gone, os.getpid())
    assert int(status["SigBlk"], 16) | 1 << signal.SIGKILL - 1 | 1 << signal.SIGSTOP - 1 == (1 << 64) - 1
    os.write(wait, b"7")
    assert os.read(reading, 1) == b"7"
    os.close(writing)
    assert os.read(reading, 1) == b"", "it has ended"


def has_open(process, descriptor):
    try:
        return os.readlink(f"/proc/{process}/fd/{descriptor}") == os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return False
