"""Pointers to where the emulator has its own memory: --bounded keeps them out, on each engine, and tells their addresses."""

import os
import struct
import subprocess

import pytest

from dragoman.runtime.options import ENGINES
from tests.command import DRAGOMAN
from tests.rootfs.contained import HERE

ACCESSES = 6
HOT = ACCESSES * ["through"]    # at the guest's own memory, first
WINDOW = 1 << 38                # as Sv39 has it
# The ends of the window, of Sv39's and of x86-64's two halves; and small offsets to both sides.
PLACES = [WINDOW - 8 * 512, WINDOW, WINDOW + 8, 1 << 39, 1 << 46, (1 << 47) - 4096, 1 << 47, 1 << 63, (1 << 64) - (1 << 31),
          (1 << 64) - (1 << 38), (1 << 64) - (1 << 47), (1 << 64) - 8, 0, 8]


def emulator_memory(pid: int) -> list[int]:
    """Guest addresses of mappings that the emulator can read and write."""
    with open(f"/proc/{pid}/maps") as file:
        lines = [line.split() for line in file]
    spans = [(*(int(word, 16) for word in line[0].split("-")), line[1], line[-1]) for line in lines]
    base = next(start for start, _, _, name in spans if name.endswith("/wild")) - 0x10000      # where it is linked to
    own = [start for start, _, prot, _ in spans if prot.startswith("rw") and not base <= start < base + WINDOW]
    return [(start - base) % (1 << 64) for start in own]


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
def test_no_address_reaches_the_emulator(engine):
    more = ["--threshold", "20"] if engine == "region" else []
    guest = subprocess.Popen([*DRAGOMAN, "run", "--bounded", "--engine", engine, *more, str(HERE / "wild")], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until_it_reads(guest)
    places = (PLACES + emulator_memory(guest.pid))[:64]
    assert len(places) > len(PLACES)
    output, error = guest.communicate(struct.pack(f"<{len(places)}Q", *places), timeout=60)
    # Each access faults at its address (RISC-V: stval; Linux: si_addr); the last two are on 8-byte boundaries already.
    assert output.decode().split() == HOT + [f"{place:016x}" for place in places for _ in range(ACCESSES)]
    assert (error, guest.returncode) == (b"", 0)


def test_without_bounds_the_emulator_is_reached():
    guest = subprocess.Popen([*DRAGOMAN, "run", "--engine", "stencil", str(HERE / "wild")], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until_it_reads(guest)
    place = emulator_memory(guest.pid)[0]
    output, _ = guest.communicate(struct.pack("<Q", place), timeout=60)
    assert output.decode().split()[:ACCESSES + 1] == [*HOT, "through"]


def wait_until_it_reads(guest: subprocess.Popen) -> None:
    """Its accesses are hot by then."""
    words: list[str] = []
    while words[:2] != ["0", "0x0"]:                # read(0, ...)
        assert guest.poll() is None
        os.sched_yield()
        with open(f"/proc/{guest.pid}/syscall") as file:
            words = file.read().split()
