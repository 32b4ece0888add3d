"""Machines in reports: which jobs a word names, what a console says of them, rounds by turns, and failures."""

import gzip
import math
from pathlib import Path

import pytest

from dragoman import guests
from dragoman.perf import child, machine, machine_jobs
from dragoman.perf.child import ChildError, Run
from dragoman.perf.contenders import CONTENDERS, Field
from dragoman.perf.results import Report
from dragoman.perf.session import PrepareError, Session
from dragoman.perf.workloads import WorkloadError
from tests.command import dragoman
from tests.machines.machine import kernel as kernel_image
from tests.perf.test_session import Watcher


def names(*words: str) -> list[str]:
    return [job.name for job in machine_jobs.chosen(words, True)]


def test_words_name_jobs():
    compute = [guest.name for guest in guests.programs() if guest.kind.startswith("compute")]
    micro = ["call", "read", "signal", "map", "fork", "exec", "pipe", "fault"]
    block, net = ["block-read", "block-cached", "block-random", "block-write"], ["net-receive", "net-send"]
    assert names("machine") == ["boot", *micro, *block, *net, *compute]
    assert (names("machine:micro"), names("machine:compute")) == (micro, compute)
    assert (names("machine:block"), names("machine:net")) == (block, net)
    assert names("machine:fib", "machine:boot", "machine:fib") == ["fib", "boot"]
    with pytest.raises(WorkloadError, match=r"machine:hello.*boot, call"):
        names("machine:hello")


def test_micro_guest_knows_the_jobs_and_says_what_is_expected():
    printed = guests.find("micro").expected_output.decode().split()
    assert printed[::2] == list(machine_jobs.TIMES)
    # The same program with a count of one's own: a native run of 50 each is in expected/.
    assert all(job.expected == (f"{job.name} {job.arguments[1]}\n".encode(), 0) for job in machine_jobs.micro(True))


def test_a_console_is_read():
    text = b"OpenSBI\r\nBEGIN 0\r\none\r\ntwo\r\nEND 0 0 1500000000\r\nBEGIN 1\r\nEND 1 11 7\r\nBEGIN 2\r\nEND 2 256 7\r\nBEGIN 3\r\nBEGIN 4\r\n"
    found = machine_jobs.outcomes(text)
    assert found[0] == machine_jobs.Outcome(1.5, 0, b"one\ntwo\n")
    assert (found[1].status, found[2].status, set(found)) == (128 + 11, 1, {0, 1, 2})   # wait(2): a signal, an exit status


@pytest.fixture
def session(tmp_path):
    report = Report("", {}, {contender.name: contender.label for contender in CONTENDERS}, 2, True)
    return Session(report, Field([], tmp_path), 10, Watcher(), tmp_path)


def test_contenders_take_turns_and_failures_are_not_run_again(session, monkeypatch, tmp_path):
    kernel = tmp_path / "kernel"
    kernel.touch()
    ran = []

    def run(command, timeout):
        """The stencil machine's second job is wrong; QEMU does not end; else all is well."""
        who = "qemu" if "-bios" in command else command[command.index("--engine") + 1]
        archive = gzip.decompress((tmp_path / "initrd").read_bytes())
        jobs = archive[archive.rindex(b"jobs\0"):].count(b"/bin/micro")
        ran.append((who, jobs))
        if who == "qemu":
            raise ChildError("did not end in 10 s")
        lines = b"fork 10", b"pipe 100" if who == "interpreter" else b"pipe 99"
        text = b"".join(b"BEGIN %d\r\n%s\r\nEND %d 0 %d\r\n" % (n, line, n, 10 ** 9 * len(ran)) for n, line in enumerate(lines))
        return Run(9.0, 1.0, 1 << 20, 0, text, b"")

    monkeypatch.setattr(child, "run", run)
    monkeypatch.setattr(Session, "prepare_machines", lambda self: None)
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    jobs = machine_jobs.chosen(["machine:fork", "machine:pipe"], True)
    report = machine.measure(session, jobs, kernel, ["stencil", "interpreter", "qemu"])
    assert ran == [("interpreter", 2), ("stencil", 2), ("qemu", 2), ("stencil", 1), ("interpreter", 2), ("interpreter", 2), ("stencil", 1)]
    fork, pipe = report.results
    assert fork.series["interpreter"].wall == [5.0, 6.0] and fork.series["stencil"].wall == [4.0, 7.0]
    assert math.isnan(pipe.seconds("stencil")) and "pipe 99" in pipe.series["stencil"].failure
    assert fork.series["qemu"].failure == "did not end in 10 s"
    watcher = session.watcher
    assert (watcher.expected, watcher.done, len(watcher.results)) == (9, 9, 2)


def test_a_machine_tells_about_itself_in_the_run_before_the_rounds_and_warm_in_its_second(session, monkeypatch, tmp_path):
    (tmp_path / "kernel").touch()
    ran = []

    def run(command, timeout):
        path = Path(command[command.index("--stats-json") + 1]) if "--stats-json" in command else None
        who = command[command.index("--engine") + 1] if "--engine" in command else "qemu" if "-bios" in command else "warm"
        ran.append((who, path is not None))
        if path is not None:
            path.write_text(f'{{"seconds": {{"run": 1.0, "native": {len(ran)}}}, "counts": {{}}, "harts": [], "begun": 7.5}}')
        return Run(2.0, 1.0, 1 << 20, 0, b"", b"", 7.0)
    monkeypatch.setattr(child, "run", run)
    monkeypatch.setattr(Session, "prepare_machines", lambda self: None)
    monkeypatch.setattr(Session, "wait_for_compiler", lambda self: None)
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    report = machine.measure(session, machine_jobs.chosen(["machine:boot"], True), tmp_path / "kernel", ["stencil", "warm", "qemu"])
    assert ran[:4] == [("stencil", True), ("warm", False), ("warm", True), ("qemu", False)] and not any(told for _, told in ran[4:])
    whole, = report.machines
    assert set(whole.series) == {"stencil", "warm"} and whole.suite == machine_jobs.BOOT
    assert whole.series["stencil"].statistics["seconds"] == {"run": 1.0, "native": 1, "whole": 2.0, "before": 0.5}
    assert whole.series["warm"].statistics["seconds"]["native"] == 3 and "compiler" in whole.series["warm"].statistics["seconds"]
    assert (session.watcher.expected, session.watcher.done) == (10, 10)


def test_a_machine_is_made_once_before_all_that_is_measured(session, monkeypatch):
    guest = guests.find("fences")
    made = [Run(1.0, 1.0, 1 << 20, guest.expected_status, guest.expected_output, b""), Run(1.0, 1.0, 1 << 20, 2, b"", b"dragoman: no\n")]
    monkeypatch.setattr(child, "run", lambda command, timeout: made.pop(0))
    monkeypatch.setattr(Session, "wait_for_compiler", lambda self: None)
    session.prepare_machines()
    with pytest.raises(PrepareError, match="exit status 2, not 0; it says: dragoman: no"):
        session.prepare_machines()


def test_a_machine_that_ends_with_a_status_says_why():
    jobs = machine_jobs.chosen(["machine:fork", "machine:boot"], True)
    rows = machine.judged(jobs, Run(1.0, 1.0, 1, 1, b"", b"dragoman: no such kernel\n"))
    assert [why for _, why, _ in rows] == ["the machine ended with status 1; it says: dragoman: no such kernel"] * 2
    rows = machine.judged(jobs, Run(2.5, 1.0, 1, 0, b"Kernel panic\n", b""))
    assert [(why, seconds) for _, why, seconds in rows] == [("did not come to its end; the machine says: Kernel panic", 0.0), ("", 2.5)]


@pytest.mark.real
def test_the_programs_run_in_a_machine():
    done = dragoman("perf", "machine:micro", "--quick", "--rounds", "1", "--only", "stencil", "--kernel", str(kernel_image()), timeout=300)
    assert (done.returncode, "failed" in done.stdout + done.stderr) == (0, False), done.stdout[-2000:] + done.stderr
    assert all(f"{name} " in done.stdout for name in machine_jobs.TIMES)


@pytest.mark.parametrize("kernel, why", [(None, "needs --kernel FILE"), (Path("/nowhere/kernel"), "no such file")])
def test_a_kernel_is_needed(kernel, why):
    with pytest.raises(WorkloadError, match=why):
        machine.kernel_of(kernel)
