"""Samples by the host's kernel (perf_event_open(2)): the program notices nothing, and a sample costs it some microseconds.

One counter of CPU time for each host CPU, inherited by threads and children. Unless the host lets this user look at its kernel
(/proc/sys/kernel/perf_event_paranoid), it samples user mode only; the counters count all time in any case, so that the kernel's is known.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
import struct
from collections.abc import Iterator
from pathlib import Path

from dragoman.perf.profile_sample import PERIOD, Clock, Recording, Sample, SampleError, shell_status, waiting

NR_PERF_EVENT_OPEN, FLAG_CLOEXEC = 298, 8
TYPE_SOFTWARE, TASK_CLOCK = 1, 1
SAMPLE_IP, SAMPLE_TID, SAMPLE_TIME, SAMPLE_REGS_USER = 1, 2, 4, 1 << 12
DISABLED, INHERIT, EXCLUDE_KERNEL, EXCLUDE_HV, ENABLE_ON_EXEC, USE_CLOCKID = (1 << n for n in (0, 1, 5, 6, 12, 25))
REGISTER_CX, REGISTER_IP, CLOCK_MONOTONIC = 1 << 2, 1 << 8, 1       # in the order of their numbers in a sample
RECORD_LOST, RECORD_SAMPLE, MODE, MODE_KERNEL = 2, 9, 7, 1
# struct perf_event_attr, its first 112 bytes
_ATTRIBUTES = struct.Struct("<IIQQQQQIIQQQQIiQIHH")
_RECORD, _SAMPLE, _REGISTERS, _ENDS, _AREA = (struct.Struct(f"<{form}") for form in ("IHH", "QIIQQ", "QQ", "QQ", "QQ"))
ENDS_AT, AREA_AT = 1024, 1040       # in the first page: data_head and data_tail; data_offset and data_size
PAGES = 64                          # of samples for each CPU: within what any user may lock (perf_event_mlock_kb), for some seconds
POLL = 0.2                          # seconds between two looks

_libc = ctypes.CDLL(None, use_errno=True)


class Ring:
    """A counter on one CPU, and the memory that its samples come through."""

    def __init__(self, process: int, cpu: int, with_kernel: bool) -> None:
        """Raises OSError."""
        flags = DISABLED | INHERIT | EXCLUDE_HV | ENABLE_ON_EXEC | USE_CLOCKID | (0 if with_kernel else EXCLUDE_KERNEL)
        attributes = ctypes.create_string_buffer(_ATTRIBUTES.pack(
            TYPE_SOFTWARE, _ATTRIBUTES.size, TASK_CLOCK, PERIOD, SAMPLE_IP | SAMPLE_TID | SAMPLE_TIME | SAMPLE_REGS_USER, 0, flags, 0, 0,
            0, 0, 0, REGISTER_CX | REGISTER_IP, 0, CLOCK_MONOTONIC, 0, 0, 0, 0))
        self.fd = _libc.syscall(NR_PERF_EVENT_OPEN, attributes, process, cpu, -1, FLAG_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        try:
            self.memory = mmap.mmap(self.fd, (1 + PAGES) * mmap.PAGESIZE)
        except OSError:
            os.close(self.fd)
            raise
        self.lost = 0

    def nanoseconds(self) -> int:
        """CPU time on this CPU so far."""
        return int.from_bytes(os.read(self.fd, 8), "little")

    def drain(self) -> Iterator[Sample]:
        """What has come since the last time."""
        (head, tail), (start, size) = _ENDS.unpack_from(self.memory, ENDS_AT), _AREA.unpack_from(self.memory, AREA_AT)
        begin, end = start + tail % size, start + head % size
        data = self.memory[begin:end] if begin <= end else self.memory[begin:start + size] + self.memory[start:end]
        struct.pack_into("<Q", self.memory, ENDS_AT + 8, head)
        at = 0
        while at < len(data):
            kind, misc, length = _RECORD.unpack_from(data, at)
            if kind == RECORD_SAMPLE:
                ip, process, thread, time, user = _SAMPLE.unpack_from(data, at + _RECORD.size)
                record, host = _REGISTERS.unpack_from(data, at + _RECORD.size + _SAMPLE.size) if user else (0, 0)
                in_kernel = misc & MODE == MODE_KERNEL
                yield Sample(process, thread, time, host if in_kernel else ip, record, in_kernel, PERIOD)
            elif kind == RECORD_LOST:
                self.lost += struct.unpack_from("<Q", data, at + _RECORD.size + 8)[0]
            at += length

    def close(self) -> None:
        self.memory.close()
        os.close(self.fd)


def online(cpu: Path) -> bool:
    """Of a CPU's folder. One that cannot be switched off has no such file."""
    try:
        return cpu.joinpath("online").read_text().strip() == "1"
    except FileNotFoundError:
        return True


class Events:
    """A Sampler."""

    def record(self, command: list[str], environment: dict[str, str]) -> Recording:
        with waiting(command, environment) as (process, start):
            rings, with_kernel = self._rings(process)
            os.write(start, b"!")
            clock, status = Clock(), None
            samples: list[Sample] = []
            ended = os.pidfd_open(process)
            while status is None:
                select.select([ended], [], [], POLL)
                found, code = os.waitpid(process, os.WNOHANG)
                status, wall = (shell_status(code) if found else None), clock.wall()
                for ring in rings:
                    samples += ring.drain()
            os.close(ended)
            cpu, lost = sum(ring.nanoseconds() for ring in rings) / 1e9, sum(ring.lost for ring in rings)
            for ring in rings:
                ring.close()
        seen = (len(samples) + lost) * PERIOD / 1e9
        return Recording(process, "perf events" + ("" if with_kernel else ", user mode only"), samples, wall,
                         0.0 if with_kernel else max(0.0, cpu - seen), not with_kernel, lost, status)

    @staticmethod
    def _rings(process: int) -> tuple[list[Ring], bool]:
        """One for each CPU that is online, and whether they look at the kernel. Raises SampleError."""
        for with_kernel in (True, False):
            made: list[Ring] = []
            try:
                for folder in Path("/sys/devices/system/cpu").glob("cpu[0-9]*"):
                    if online(folder):
                        made.append(Ring(process, int(folder.name.removeprefix("cpu")), with_kernel))
                return made, with_kernel
            except OSError as error:
                for ring in made:
                    ring.close()
                if with_kernel and error.errno in (errno.EACCES, errno.EPERM):
                    continue
                raise SampleError(f"perf events are not to be had: {error.strerror}") from None
        raise AssertionError
