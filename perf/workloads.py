"""What is measured: guest programs of this project, Debian's, and any program given, each with what it must print."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dragoman import guests
from dragoman.perf import debian, kernel_work

SUITES = {
    "compute": "the guests that compute, in whole numbers and floating point (the default)",
    "micro": "one thing at a time that translated code does: computed gotos, calls, switches, strings, accesses of memory, atomics",
    "start": "programs that do little: how fast they start; with --root also Debian's",
    "real": "Debian's programs at work for a second or so; needs --root",
    "syscalls": "what a kernel does for processes: calls, signals, mappings, fork, exec, pipes, page faults, threads",
    "warmup": "curves: guest instructions a second over time, of programs that write as they go along",
    "translate": "microseconds per instruction of decoding and of translation, in compiled code (also called decode)",
    "machine": "in a virtual machine: a boot, system calls, fork, exec, pipe, page faults, disk, network, guests "
               "that compute; or only machine:boot, machine:micro, machine:block, machine:net, machine:fork ...; needs --kernel; "
               "apart: machine:snapshot (snapshots, memory and CPU time at rest) and machine:warmup (a curve)",
    "memory": "what address translation costs a machine: page tables traced, dropped at fences, TLB only, none",
    "all": "every suite that this host can do, and a line for each that it cannot (without machine:snapshot and machine:warmup)",
}
ALSO_MICRO = ("virtual",)       # a guest that computes, of which calls through pointers are most
PORTIONS = ("400", "10")    # of each kind of work of the guest portions; in a quick run
RUNNER = "RUNNER"       # a word of the arguments: who runs a riscv64 program where the kernel does not; left out where Dragoman does


class WorkloadError(Exception):
    """What was asked for cannot be measured; the text says why and what to do."""


@dataclass(frozen=True)
class Workload:
    """One run of one riscv64 program. Its environment is what only the guest may see."""

    name: str
    suite: str
    program: Path
    arguments: tuple[str, ...] = ()
    description: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    sysroot: Path | None = None
    stdin: Callable[[], bytes] = bytes
    expected: tuple[str, int] | None = None
    """SHA-256 of the output and exit status; None: what the first contender gives."""
    guest: guests.Guest | None = None
    """Where there is a source, which can be built natively."""


def chosen(words: Sequence[str], quick: bool, root: Path | None, arguments: Sequence[str]) -> list[Workload]:
    """The workloads that words of a command line name, each once. Raises WorkloadError."""
    found: dict[str, Workload] = {}
    for word in words:
        for workload in _named(word, quick, root, tuple(arguments)):
            found.setdefault(workload.name, workload)
    return list(found.values())


def everything() -> list[Workload]:
    """All that has a name: guests, then Debian's programs as they would be in the folder root."""
    return [of_guest(guest) for guest in guests.programs()] + syscalls(False) + [
        dataclasses.replace(workload, description=" ".join(workload.arguments)[:60].replace("\n", " "))
        for workload in of_debian(Path("root"))]


def _named(word: str, quick: bool, root: Path | None, arguments: tuple[str, ...]) -> list[Workload]:
    of_guests = [of_guest(guest) for guest in guests.programs(quick)]
    if word == "compute":
        return [workload for workload in of_guests if workload.suite == "compute"]
    if word == "micro":
        return [dataclasses.replace(workload, suite="micro") for workload in of_guests if workload.suite == "micro" or workload.name in ALSO_MICRO]
    if word == "start":
        return [workload for workload in of_guests if workload.name == "hello"] + of_debian(root, "start")
    if word == "real":
        if root is None:
            raise WorkloadError("real needs --root DIR, a folder with Debian's riscv64 programs; "
                                "tests/real/fetch.py makes one")
        return of_debian(root, "steady")
    if word == "syscalls":
        return syscalls(quick)
    for workload in of_guests + of_debian(root) + syscalls(quick):
        if workload.name == word:
            return [workload]
    path = Path(word)
    if path.exists() or os.sep in word:
        if not path.is_file():
            raise WorkloadError(f"{word}: {'is no regular file' if path.exists() else 'no such file'}")
        return [Workload(path.name, "file", path.resolve(), arguments, "", (), root)]
    if any(program.name == word for program in debian.PROGRAMS):
        raise WorkloadError(f"{word} is one of Debian's programs and needs --root DIR")
    raise WorkloadError(f"no suite ({', '.join(SUITES)}), guest or file is called {word}; --list names the guests")


def of_guest(guest: guests.Guest) -> Workload:
    digest = hashlib.sha256(guest.expected_output).hexdigest()
    suite = "compute" if guest.kind.startswith("compute") else "start" if guest.name == "hello" else guest.kind
    return Workload(guest.name, suite, guest.path, guest.arguments, guest.description,
                    expected=(digest, guest.expected_status), guest=guest)


def syscalls(quick: bool) -> list[Workload]:
    """The jobs of guests/src/micro.c and parallel.c, each a workload of its own. What threads compute is compared between contenders."""
    found = []
    for job in kernel_work.JOBS:
        guest, times = guests.find(job.guest), job.times[quick]
        said = f"{job.word} {times}\n".encode()
        expected = None if job.computes else (hashlib.sha256(said).hexdigest(), 0)
        arguments = (job.word, str(times // job.parts), *([RUNNER] if job.name == "exec" else []))
        found.append(Workload(job.name, "syscalls", guest.path, arguments, f"{times} {job.text}", expected=expected, guest=guest))
    return found


def warmup(root: Path | None, quick: bool) -> list[Workload]:
    """Programs that write a line after each of some hundred portions of work: how far they have come can be seen from outside."""
    guest = guests.find("portions")
    found = [Workload(guest.name, "warmup", guest.path, (PORTIONS[quick],), guest.description, guest=guest)]
    for name, command in debian.STEPS.items():
        if root is not None and (root / command[0]).exists():
            found.append(Workload(name, "warmup", root / command[0], tuple(command[1:]), "", tuple(debian.guest_environment(root).items()), root))
    return found


def of_debian(root: Path | None, kind: str = "") -> list[Workload]:
    """Debian's programs of a kind (all if none is named) in a root; none without a root. Raises WorkloadError."""
    if root is None:
        return []
    expected = debian.expectations()
    found = []
    for program in debian.PROGRAMS:
        if kind in ("", program.kind):
            path = root / program.argv[0]
            if kind and not path.exists():
                raise WorkloadError(f"--root {root} has no {program.argv[0]}; tests/real/fetch.py makes one with it")
            entry = expected[program.name]
            found.append(Workload(
                program.name, "real" if program.kind == "steady" else program.kind, path, tuple(program.argv[1:]), "",
                tuple(debian.guest_environment(root).items()), root, program.input, (entry["sha256"], entry["status"])))
    return found
