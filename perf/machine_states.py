"""What a machine costs besides time: memory beyond its RAM, CPU while idle; and how long a snapshot takes, and going on from it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dragoman import guests
from dragoman.perf.child import ChildError, environment
from dragoman.perf.contenders import DRAGOMAN
from dragoman.perf.machine import MEMORY, NAMES, QEMU, command
from dragoman.perf.machine_equipment import Equipment
from dragoman.perf.machine_jobs import Job, ram_disk
from dragoman.perf.results import Report
from dragoman.perf.session import Session
from dragoman.runtime.machine.control import Lines, address

NAME = "snapshot"               # of the machine, and behind `machine:`
HELD, REST = 128 << 20, 5       # bytes that the guest fills with random numbers, seconds that it is idle
MEASURES = {"snapshot": "seconds, vm snapshot of a machine that runs", "restore": "seconds, vm restore to the guest's first output",
            "idle": "per cent of a host CPU, at rest", "memory": "MB in use beyond the guest's RAM"}
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \S+ *(.*)$")


class Console:
    """What a machine prints, from a descriptor of a pipe or a socket."""

    def __init__(self, descriptor: int, seconds: float) -> None:
        self.descriptor, self.deadline, self.text = descriptor, time.monotonic() + seconds, b""

    def wait_for(self, mark: bytes) -> None:
        """Until it has come, which is then forgotten with all before. Raises ChildError: the time is over, or the machine."""
        while mark not in self.text:
            left = self.deadline - time.monotonic()
            data = os.read(self.descriptor, 65536) if left > 0 and select.select([self.descriptor], [], [], left)[0] else b""
            if not data:
                last = (self.text.strip().splitlines() or [b"nothing"])[-1].decode(errors="replace")[:200]
                raise ChildError(f"no {mark.decode()!r} came; it says: {last}")
            self.text += data
        self.text = self.text[self.text.index(mark) + len(mark):]


def cpu_seconds(pid: int, thread: int | None = None) -> float:
    """Of all threads of a process, or of one of them, from proc(5)."""
    task = Path(f"/proc/{pid}") if thread is None else Path(f"/proc/{pid}/task/{thread}")
    fields = (task / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def beyond_ram(smaps: str, ram: int) -> int:
    """Bytes in memory of all mappings but the guest's RAM: a memory file of Dragoman's, the data mapping of so many bytes of QEMU's."""
    total, is_ram, anonymous = 0, False, False
    for line in smaps.splitlines():
        found = _MAPPING.match(line)
        if found:
            is_ram, anonymous = "dragoman-ram" in found[2], found[1].startswith("rw-") and not found[2]
        elif line.startswith("Size:"):
            is_ram |= anonymous and int(line.split()[1]) * 1024 >= ram
        elif line.startswith("Rss:") and not is_ram:
            total += int(line.split()[1]) * 1024
    return total


def rest(console: Console, pid: int) -> dict[str, float]:
    """What a machine costs between the guest's two marks."""
    console.wait_for(b"filled")
    before, start = cpu_seconds(pid), time.monotonic()
    console.wait_for(b"rested")
    idle = (cpu_seconds(pid) - before) / (time.monotonic() - start)
    console.wait_for(b"tick")
    return {"idle": 100 * idle, "memory": beyond_ram(Path(f"/proc/{pid}/smaps").read_text(), int(MEMORY[:-1]) << 20) / 1e6}


@contextlib.contextmanager
def running(words: Sequence[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that prints into a pipe, killed at the end."""
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables) as process:
        try:
            yield process
        finally:
            process.kill()


def of_qemu(words: Sequence[str], folder: Path, seconds: float) -> dict[str, float]:
    with running(words, environment()) as process:
        assert process.stdout is not None
        return rest(Console(process.stdout.fileno(), seconds), process.pid)


def of_dragoman(words: Sequence[str], folder: Path, seconds: float) -> dict[str, float]:
    """`words`: the command that would run the machine here; it is one in the background, whose folder is a temporary one."""
    variables = environment() | {"XDG_STATE_HOME": str(folder / "state")}
    file, options = folder / "snapshot", words[len(DRAGOMAN) + 2:]

    def vm(*arguments: str) -> None:
        done = subprocess.run([*DRAGOMAN, "vm", *arguments], env=variables, timeout=seconds, capture_output=True, text=True)
        if done.returncode:
            raise ChildError(f"vm {arguments[0]}: {done.stderr.strip()}")
    vm("create", NAME, *options)
    try:
        vm("start", NAME)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                with address(str(folder / "state/dragoman/vm" / NAME / "control")) as path:
                    connection.connect(path)
                lines = Lines(connection)
                lines.write(do="status")
                pid = int((lines.read() or {})["pid"])
                lines.write(do="console")
                lines.read()
                found = rest(Console(connection.fileno(), seconds), pid)
            found["snapshot"] = _seconds(lambda: vm("snapshot", NAME, str(file)))
        finally:
            vm("stop", NAME)
    finally:
        vm("rm", NAME)
    start = time.monotonic()
    with running([*DRAGOMAN, "vm", "restore", str(file)], variables) as process:
        assert process.stdout is not None
        Console(process.stdout.fileno(), seconds).wait_for(b"tick")
        found["restore"] = time.monotonic() - start
    file.unlink()
    return found


def _seconds(work: Callable[[], None]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def measure(session: Session, kernel: Path, names: Sequence[str]) -> Report:
    """Rows of the session's report: a number of each round for each of the contenders. No round is for warming up: each begins with a boot."""
    report = session.report
    names = [name for name in NAMES if name in names and (name != "qemu" or shutil.which(QEMU))]
    holding = Job("hold", "", "", guests.find("transfer").path, ("hold", str(HELD), str(REST)))
    disk = session.folder / "initrd"
    disk.write_bytes(ram_disk([holding], {}, {}))
    numbers: dict[str, dict[str, list[float]]] = {measure: {} for measure in MEASURES}
    session.watcher.runs(len(names) * report.rounds)
    for round_number in range(report.rounds):
        for name in names:
            session.watcher.begins(f"a machine's states under {report.contenders[name]}, round {round_number + 1} of {report.rounds}")
            try:
                found = (of_qemu if name == "qemu" else of_dragoman)(command(name, kernel, disk, Equipment()), session.folder, session.timeout)
            except (ChildError, OSError, subprocess.SubprocessError) as error:
                report.failed.append(f"machine:{NAME}: {report.contenders[name]}: {error}")
                continue
            finally:
                session.watcher.ran()
            for measure, number in found.items():
                numbers[measure].setdefault(name, []).append(number)
    report.states = [{"name": measure, "text": text, "numbers": numbers[measure]} for measure, text in MEASURES.items()]
    return report
