"""Two machines of the same options on two engines, side by side on virtual time: from turn to turn, and where their states differ."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dragoman.dbt.registers import Registers
from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.options import MachineError, MachineOptions
from dragoman.runtime.machine.vcpu import Vcpu

REFERENCE = "interpreter"       # with blocks of one instruction it can stop behind each
PAGE, CHUNK = 4096, 1 << 20
_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
Make = Callable[[MachineOptions], Machine]
Values = dict[str, int]


class Place(NamedTuple):
    """Where they differ: in which round, behind the turn of which hart (-1: behind all of them)."""
    round: int
    hart: int


def engines_of(options: MachineOptions) -> tuple[str, str]:
    """The engine that leads and the one that follows. Raises MachineError for what cannot be compared."""
    assert options.lockstep is not None
    leader = [name for name in options.lockstep if name != REFERENCE]
    if len(leader) != 1:
        raise MachineError(f"--lockstep: a machine's engines are compared with {REFERENCE}, not with each other")
    reasons = {"the network is not the same for both (--net)": options.net is not None,
               "both would write to the disk (give it ,cow or ,ro)": any(disk.mode == "rw" for disk in options.disks),
               "both would write to the folder (give --share ,ro)": any(share.writable for share in options.shares),
               "shared memory has others who write to it (--doorbell)": options.doorbell is not None}
    for reason, holds in reasons.items():
        if holds:
            raise MachineError(f"--lockstep: {reason}")
    return leader[0], REFERENCE


def values(hart: Vcpu) -> Values:
    """All registers by name, and what else both must have alike."""
    found = Registers(hart.cpu).values()
    found |= {name: hart.register(name) for name in hart.machine.architecture.COMPARED}
    return found | {"instructions": hart.cpu.instructions, "waits": int(hart.waiting), "runs": int(hart.started)}


class Pair:
    """`inputs`: what was typed, by round; more may be added while it runs."""

    def __init__(self, options: MachineOptions, make: Make, inputs: dict[int, bytes]) -> None:
        self.names = engines_of(options)
        self.inputs, self.round, self.output = inputs, 0, b""
        plain = vars(options) | {"deterministic": True, "lockstep": None, "log": frozenset()}
        self.leader, self.follower = (make(MachineOptions(**plain | {"engine": name})) for name in self.names)
        self.machines = self.leader, self.follower
        self._outputs = [b"", b""]
        self.follower.engine.set_control("block_limit", 1)      # so it can be met behind each instruction
        for machine in self.machines:
            machine.boot()
            machine.rounds.begin()      # type: ignore[union-attr]

    def close(self) -> None:
        for machine in self.machines:
            machine.stop()
            machine.close()
            machine.release()

    @property
    def ended(self) -> bool:
        return self.leader.ended or self.follower.ended

    # --- on and on
    def advance(self, until: Place | None = None) -> Place | None:
        """A round: each hart's turn on both; where they differ then. until: stop before the turn of this hart."""
        self.round += 1
        for machine in self.machines:
            machine.console.type(self.inputs.get(self.round, b""))
            machine.events.poll()
        busy = False
        for number, (hart, other) in enumerate(zip(self.leader.harts, self.follower.harts, strict=True)):
            if until == Place(self.round, number):
                return None
            busy |= self.rounds[0].turn(hart)
            self.rounds[1].turn(other, hart.cpu.instructions)
            if values(hart) != values(other):
                return Place(self.round, number)
        if not busy:
            for rounds in self.rounds:
                rounds.skip()
        return None if self._same_outside() else Place(self.round, -1)

    @property
    def rounds(self) -> tuple[Any, Any]:
        return self.leader.rounds, self.follower.rounds

    def step(self, number: int) -> None:
        """To the leader's next poll, and the follower to the same place."""
        hart = self.leader.harts[number]
        self.rounds[0].resume(hart, hart.cpu.instructions + 1)
        self.rounds[1].resume(self.follower.harts[number], hart.cpu.instructions)

    def _same_outside(self) -> bool:
        """What was written to the console, and how they ended."""
        for n, machine in enumerate(self.machines):
            data = machine.console.pending(1 << 30)
            machine.console.shown(len(data))
            self._outputs[n] += data
        same = self._outputs[0] == self._outputs[1] and all(
            getattr(self.leader, name) == getattr(self.follower, name) for name in ("ended", "status", "report", "rebooting"))
        self.output += self._outputs[0]
        self._outputs = [b"", b""]
        return same

    # --- memory
    def differing_words(self, most: int) -> list[int]:
        """Physical addresses of words of 8 bytes that are not the same, the first of them."""
        found: list[int] = []
        for address in self._differing_pages():
            data = [machine.memory.read(address, PAGE) for machine in self.machines]
            found += [address + at for at in range(0, PAGE, 8) if data[0][at:at + 8] != data[1][at:at + 8]]
            if len(found) >= most:
                break
        return found[:most]

    def _differing_pages(self) -> Iterator[int]:
        one, other = (machine.memory for machine in self.machines)
        for at in range(0, one.size, CHUNK):
            size = min(CHUNK, one.size - at)
            if _memcmp(one.host + at, other.host + at, size):
                yield from (one.base + at + n for n in range(0, size, PAGE) if _memcmp(one.host + at + n, other.host + at + n, PAGE))

    def words(self, addresses: list[int]) -> list[tuple[int, ...]]:
        """The words there: one of each machine."""
        return [tuple(int.from_bytes(machine.memory.read(address, 8), "little") for machine in self.machines) for address in addresses]
