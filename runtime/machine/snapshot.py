"""Snapshots: a machine's whole state into a file, and machines out of one, in this process or another.

In what order things are saved matters. Virtio devices first: they complete the requests that are under way, which changes RAM, raises
interrupt lines and, by them, harts' registers. Then the other devices and harts, RAM last; nothing else moves meanwhile.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Any

from dragoman.runtime.machine import snapshot_options
from dragoman.runtime.machine.options import MachineError
from dragoman.runtime.machine.snapshot_file import RAM, SnapshotFile, replace, write
from dragoman.runtime.machine.snapshot_values import pack
from dragoman.runtime.memory.physical import PhysicalMemory

if TYPE_CHECKING:
    from dragoman.runtime.machine.machine import Machine
    from dragoman.runtime.machine.options import MachineOptions

SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
# What an altered state, or that of another version, may raise where it is taken over.
WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


def save(machine: Machine, path: bytes, stop: bool = False) -> None:
    """Write a snapshot; the machine stands still for as long as that takes, and goes on or ends. Raises MachineError, OSError; a file
    of this name is replaced as a whole or not at all."""
    options = _options(machine)

    def fill(file: int) -> None:
        with machine.still.hold():
            _fill(machine, options, file)
    if stop:
        with machine.still.hold():
            replace(path, lambda file: _fill(machine, options, file))
            machine.stop()
    else:
        replace(path, fill)         # it goes on before the file has reached the disk


def hand_over(machine: Machine) -> int:
    """A snapshot for a clone: a memory file, whose pages the machine itself shares from now on until it writes to them. Returns its
    descriptor. Raises MachineError, OSError."""
    for disk in machine.options.disks:
        if disk.mode == "rw":
            raise MachineError(f"disk {os.fsdecode(disk.path)}: two machines cannot write to it; one that was given ,cow or ,ro can be cloned")
    options = _options(machine)
    file = os.memfd_create("dragoman-clone", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with machine.still.hold():
            _fill(machine, options, file)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, SEALS)
            machine.memory.share(os.dup(file), RAM)
    except BaseException:
        os.close(file)
        raise
    return file


def _options(machine: Machine) -> dict[str, Any]:
    if machine.rounds is not None:
        raise MachineError("a machine on virtual time (--deterministic) is not saved: run it again to the same place")
    return snapshot_options.values(machine.options)


def _fill(machine: Machine, options: dict[str, Any], file: int) -> None:
    """While nothing moves."""
    state = {"equipment": machine.equipment.state(), "architecture": machine.architecture.state(machine), "console": machine.console.state(),
             "options": options}
    write(file, machine.memory, machine.native, pack(state))


def options_of(saved: SnapshotFile, changes: dict[str, Any]) -> MachineOptions:
    """The options of the machine that a snapshot was taken of, some of them changed. Raises SnapshotError."""
    try:
        options = snapshot_options.options(saved.state["options"], changes)
    except WRONG as error:
        raise saved.wrong(f"was written by another version of this program ({error!r})") from None
    if options.memory != saved.ram_size:
        raise saved.wrong(f"has {saved.ram_size} bytes of RAM and options for {options.memory}")
    return options


def ram_of(saved: SnapshotFile, base: int, shared: tuple[int, int, int] | None) -> PhysicalMemory:
    """RAM as it was, from the file as it is touched; `shared` is behind it. Raises OSError."""
    return PhysicalMemory(base, saved.ram_size, os.dup(saved.file), private=True, offset=RAM, shared=shared)


def take_over(machine: Machine, saved: SnapshotFile) -> None:
    """All but options and RAM, which it was made with; before it is started. Raises MachineError."""
    saved.verify(machine.memory, machine.native)
    try:
        machine.architecture.restore(machine, saved.state["architecture"])
        machine.equipment.restore(saved.state["equipment"])
        machine.console.restore(saved.state["console"])
    except WRONG as error:
        raise saved.wrong(f"was written by another version of this program, or is damaged ({error!r})") from None
