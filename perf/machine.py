"""Machines, measured: a boot, what kernels do all day, programs that compute; each engine and qemu-system-riscv64 by turns."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from dragoman.perf import child
from dragoman.perf.child import ChildError, Run
from dragoman.perf.compiler import CompilerTime
from dragoman.perf.contenders import CONTENDERS, DRAGOMAN
from dragoman.perf.machine_equipment import Equipment, equipment, modules_of
from dragoman.perf.machine_jobs import BLOCK, BOOT, COMPUTE, MICRO, NET, Job, ram_disk
from dragoman.perf.machine_jobs import outcomes as outcomes_of
from dragoman.perf.parts import BESIDE
from dragoman.perf.results import Report, Result, Series
from dragoman.perf.session import Session, taken
from dragoman.perf.workloads import WorkloadError

QEMU = "qemu-system-riscv64"
MEMORY, APPEND = "256M", "console=ttyS0 quiet"
MACHINES = ((BOOT,), (MICRO, COMPUTE), (BLOCK,), (NET,))       # suites that are measured in one machine
NAMES = ("interpreter", "stencil", "no-inline", "region", "warm", "qemu")    # of CONTENDERS, those that run machines


def command(name: str, kernel: Path, disk: Path, equipment: Equipment, told: Path | None = None) -> list[str]:
    """The command that boots a kernel and ends when the guest powers off, its console on standard output. `disk`: its RAM disk. `told`:
    where Dragoman is to tell about itself."""
    files = ["-kernel", str(kernel), "-initrd", str(disk), "-append", APPEND]
    if name == "qemu":
        return [shutil.which(QEMU) or QEMU, *"-machine virt -bios default -nographic -no-reboot -m".split(), MEMORY, *files, *equipment.qemu]
    options = next(contender.options for contender in CONTENDERS if contender.name == name)
    assert options is not None
    files = ["-" + word if word[0] == "-" else word for word in files]
    return [*DRAGOMAN, "vm", "run", *options, "--memory", MEMORY, *files, *equipment.dragoman, *(["--stats-json", str(told)] if told else [])]


class Machines:
    """Measures into the session's report. Each contender boots once a round and runs all programs; a boot alone is another one, and so are
    what needs a disk and what needs a network."""

    def __init__(self, session: Session, kernel: Path, names: Sequence[str]) -> None:
        self.session, self.kernel = session, kernel
        self.names = [name for name in NAMES if name in names]
        if "qemu" in self.names and shutil.which(QEMU) is None:
            self.names.remove("qemu")
            session.note(f"QEMU is left out of machines: {QEMU} is not installed")
        if not self.names:
            raise WorkloadError(f"machines are run by {', '.join(NAMES)}: none of them is left")

    def measure(self, jobs: Sequence[Job]) -> None:
        """All rounds; in one before them each warms up and tells about itself. What failed is not run again, and said in the report."""
        report = self.session.report
        batches = [batch for suites in MACHINES if (batch := [job for job in jobs if job.suite in suites])]
        self.modules = {batch[0].suite: modules_of(self.kernel, batch[0].suite) for batch in batches}
        results = {job.name: Result(job.name, job.suite, job.description, list(job.arguments), bytes=job.bytes) for job in jobs}
        report.results += results.values()
        self.session.watcher.runs(len(batches) * (len(self.names) * (report.rounds + 1) + ("warm" in self.names)))
        for batch in batches:
            whole = Result("machine", batch[-1].suite, about(batch), ["vm", "run"])
            report.machines.append(whole)
            for round_number in range(report.rounds + 1):
                turn = round_number % len(self.names)
                for name in self.names[turn:] + self.names[:turn]:
                    if name == "warm" and not round_number:             # what tells about itself is the second run
                        self.run(name, batch, results, round_number)
                        self.session.watcher.ran()
                    self.run(name, batch, results, round_number, None if round_number else whole)
                    self.session.watcher.ran()
            for job in batch:
                self.session.watcher.measured(results[job.name])

    def run(self, name: str, batch: Sequence[Job], results: dict[str, Result], round_number: int, whole: Result | None = None) -> None:
        """One machine that runs the jobs of the batch which did not fail before. `whole` takes what it tells of itself."""
        label = self.session.report.contenders[name]
        state = f"round {round_number} of {self.session.report.rounds}" if round_number else "getting ready"
        self.session.watcher.begins(f"machine under {label}, {state}")
        series = {job.name: results[job.name].series.setdefault(name, Series()) for job in batch}
        jobs = [job for job in batch if not series[job.name].failure]
        if not jobs:
            return
        disk, modules = self.session.folder / "initrd", self.modules[batch[0].suite]
        details = self.session.folder / "statistics.json" if whole is not None and name != "qemu" else None
        compiler = CompilerTime() if details else None
        try:
            with equipment(batch[0].suite, self.session.folder, jobs, len(modules)) as beside:
                disk.write_bytes(ram_disk([*beside.before, *jobs], modules, beside.filled))
                run = child.run(command(name, self.kernel, disk, beside, details), self.session.timeout * len(jobs))
        except ChildError as error:
            for job in jobs:
                series[job.name].failure = str(error)
            return
        before, rows = len(beside.before), judged([*beside.before, *jobs], run)
        unready = next((failure for _, failure, _ in rows[:before] if failure), beside.failure)
        for job, why, seconds in rows[before:]:
            failure = series[job.name].failure = why or unready
            if round_number and not failure:
                series[job.name].wall.append(seconds)
                series[job.name].cpu.append(run.cpu if job.suite == BOOT else seconds)
                series[job.name].memory.append(run.memory)
        if name == "warm":
            self.session.wait_for_compiler()
        if details and whole is not None and compiler is not None and not run.status and (told := taken(details, run)):
            whole.series[name] = Series(statistics=told)
            if name == "warm" and "seconds" in told:
                told["seconds"][BESIDE] = compiler.since_last()


def about(batch: Sequence[Job]) -> str:
    """A machine that runs these from its boot to its power-off, in words."""
    programs = [job.name for job in batch if job.program]
    return ("in a machine that boots and powers off" if not programs else f"in a machine that runs {programs[0]}" if len(programs) == 1 else
            f"in a machine that runs {len(programs)} programs one after the other")


def judged(jobs: Sequence[Job], run: Run) -> list[tuple[Job, str, float]]:
    """Each job with why it failed, or its seconds: those of the whole command for a boot."""
    last = (run.output.rstrip().splitlines() or run.error.rstrip().splitlines() or [b"nothing"])[-1].decode(errors="replace")[:200]
    if run.status:
        return [(job, f"the machine ended with status {run.status}; it says: {last}", 0.0) for job in jobs]
    found, rows = outcomes_of(run.output), []
    programs = [job for job in jobs if job.program]
    for job in jobs:
        outcome = found.get(programs.index(job)) if job.program else None
        if job.program is None:
            rows.append((job, "", run.wall))
        elif outcome is None:
            rows.append((job, f"did not come to its end; the machine says: {last}", 0.0))
        elif (outcome.output, outcome.status) != job.expected:
            rows.append((job, f"exit status {outcome.status}, output {outcome.output[:60]!r}", 0.0))
        else:
            rows.append((job, "", outcome.seconds))
    return rows


def kernel_of(given: Path | None) -> Path:
    """The kernel, by --kernel. Raises WorkloadError."""
    if given is None:
        raise WorkloadError("machine needs --kernel FILE, a riscv64 kernel; tests/kernel/kernel.py fetches Debian's")
    if not given.is_file():
        raise WorkloadError(f"--kernel {given}: no such file")
    return given.resolve()


def measure(session: Session, jobs: Sequence[Job], kernel: Path, names: Sequence[str]) -> Report:
    """Fill the session's report. Raises WorkloadError, PrepareError."""
    machines = Machines(session, kernel, names)
    if machines.names != ["qemu"]:
        session.prepare_machines()
    machines.measure(jobs)
    return session.report
