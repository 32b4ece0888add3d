"""What a machine is measured with: programs that its first process runs one after the other, and the RAM disk that holds them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dragoman import guests
from dragoman.perf.kernel_work import MICRO as MICRO_GUEST
from dragoman.perf.workloads import WorkloadError
from dragoman.runtime.machine.cpio import Archive

# Suites of the report.
COMPUTE, MICRO, BOOT, BLOCK, NET = "machine compute", "machine micro", "machine boot", "machine block", "machine net"
# What guests/src/micro.c does so many times: enough for half a second or so under qemu-system; in a quick run.
TIMES = {"call": (1_000_000, 1000), "read": (500_000, 1000), "signal": (100_000, 100), "map": (100_000, 100), "fork": (1000, 10),
         "exec": (500, 10), "pipe": (20_000, 100), "fault": (200_000, 1000)}
# What guests/src/transfer.c does, and words that the machine's equipment (machine_equipment.py) fills in.
DISK, PORT = "/dev/vda", "PORT"
MOVED = (64 << 20, 1 << 20)     # bytes; in a quick run
TRANSFERS = {
    "block-read": (BLOCK, "a disk read in order, 1 MiB each time, past the guest's cache", ("read", DISK), ("1048576",)),
    "block-cached": (BLOCK, "a disk read in order through the guest's cache, which reads ahead", ("readahead", DISK), ("1048576",)),
    "block-random": (BLOCK, "4 KiB of a disk anywhere each time, past the guest's cache", ("random", DISK), ("4096",)),
    "block-write": (BLOCK, "a disk written in order, 1 MiB each time, past the guest's cache", ("write", DISK), ("1048576",)),
    "net-receive": (NET, "one TCP connection, from the host", ("receive", PORT), ()),
    "net-send": (NET, "one TCP connection, to the host", ("send", PORT), ()),
}
PART = re.compile(rb"^BEGIN (\d+)\n(.*?)^END \1 (-?\d+) (\d+)\n", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """One run of one program in a machine. Without a program it is the boot and power-off of a machine that runs nothing."""

    name: str
    suite: str
    description: str
    program: Path | None = None
    arguments: tuple[str, ...] = ()
    expected: tuple[bytes, int] = (b"", 0)
    """Output and exit status."""
    bytes: int = 0
    """That it moves, where that is what is measured."""


@dataclass(frozen=True)
class Outcome:
    """What the machine's first process said of one job: seconds of the guest's clock, exit status as a shell sees it."""

    seconds: float
    status: int
    output: bytes


def chosen(words: Sequence[str], quick: bool) -> list[Job]:
    """The jobs of `machine` and `machine:NAME`; NAME is `boot`, `compute`, `micro`, `block`, `net` or one of theirs. Raises WorkloadError."""
    every = [Job("boot", BOOT, "a kernel, from the command's start to its end after power-off"), *micro(quick), *transfers(quick),
             *compute(quick)]
    found: dict[str, Job] = {}
    for word in words:
        name = word.partition(":")[2]
        named = [job for job in every if name in ("", job.name, job.suite.split()[1])]
        if not named:
            raise WorkloadError(f"{word}: behind machine: is {', '.join(['boot', *TIMES, *TRANSFERS])}, micro, block, net, compute, snapshot, "
                                "warmup or a guest that computes")
        found |= {job.name: job for job in named}
    return list(found.values())


def micro(quick: bool) -> list[Job]:
    program = guests.find("micro").path
    counts = {name: times[quick] for name, times in TIMES.items()}
    return [Job(name, MICRO, f"{count} {MICRO_GUEST[name][0]}", program, (name, str(count)), (f"{name} {count}\n".encode(), 0))
            for name, count in counts.items()]


def transfers(quick: bool) -> list[Job]:
    program, jobs = guests.find("transfer").path, []
    for name, (suite, text, before, after) in TRANSFERS.items():
        size = MOVED[quick] // (4 if before[0] == "random" else 1)
        jobs.append(Job(name, suite, text, program, (*before, str(size), *after), (f"{before[0]} {size}\n".encode(), 0), size))
    return jobs


def compute(quick: bool) -> list[Job]:
    return [Job(guest.name, COMPUTE, guest.description, guest.path, guest.arguments, (guest.expected_output, guest.expected_status))
            for guest in guests.programs(quick) if guest.kind.startswith("compute")]


def ram_disk(jobs: Sequence[Job], modules: Mapping[str, bytes], filled: Mapping[str, str]) -> bytes:
    """An initial RAM disk: the stopwatch as /init, the programs, /jobs with a line for each, kernel modules by name with a list in the
    order to load them. `filled`: words of jobs, and what stands for them here."""
    archive = Archive()
    for folder in ("dev", "bin", "modules"):
        archive.folder(folder)
    archive.device("dev/console", 5, 1)
    archive.device("dev/zero", 1, 5, 0o666)          # what micro read reads
    archive.file("init", guests.find("stopwatch").path.read_bytes(), 0o755)
    programs = {job.program for job in jobs if job.program}
    for program in sorted(programs):
        archive.file(f"bin/{program.name}", program.read_bytes(), 0o755)
    lines = [" ".join([f"/bin/{job.program.name}", *(filled.get(word, word) for word in job.arguments)]) for job in jobs if job.program]
    archive.file("jobs", "".join(f"{line}\n" for line in lines).encode())
    for name, data in modules.items():
        archive.file(f"modules/{name}.ko", data)
    archive.file("modules/list", "".join(f"/modules/{name}.ko\n" for name in modules).encode())
    return gzip.compress(archive.data(), 6, mtime=0)


def outcomes(output: bytes) -> dict[int, Outcome]:
    """By number of the job what a machine's console shows of those that came to their end."""
    found = {}
    for number, text, status, nanoseconds in PART.findall(output.replace(b"\r\n", b"\n")):
        wait = int(status)      # as wait4 gives it
        found[int(number)] = Outcome(int(nanoseconds) / 1e9, 128 + (wait & 0x7F) if wait & 0x7F else wait >> 8 & 0xFF, text)
    return found
