"""Runs a command to its end under launch.py, with a limit on its time, and says how it went."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO

LAUNCH = Path(__file__).with_name("launch.py")


class ChildError(Exception):
    """A run that did not come to an end of its own; the text says what happened, in a few words."""


@dataclass(frozen=True)
class Run:
    """One finished run: seconds, bytes, exit status as a shell sees it; when it began, by the monotonic clock."""

    wall: float
    cpu: float
    memory: int
    status: int
    output: bytes
    error: bytes
    began: float = 0.0

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.output).hexdigest()


def environment() -> dict[str, str]:
    """What programs see of this process's environment: the same for all, but for where caches are."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("XDG_")}
    kept.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": "/tmp", "TZ": "UTC"} | kept


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="dragoman-perf-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(command: Sequence[str], timeout: float, stdin: bytes = b"", variables: Mapping[str, str] | None = None,
        arrivals: list[tuple[float, int]] | None = None) -> Run:
    """Run a command in an empty folder. Raises ChildError; ends the command if it is interrupted itself.

    arrivals: its output goes through a pipe, and this takes (monotonic clock, bytes of output until then) as it comes.
    """
    with _folder() as folder, contextlib.ExitStack() as files:
        source, output, error = (files.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        source.write(stdin)
        source.seek(0)
        inlet, outlet = os.pipe()
        files.callback(os.close, inlet)
        pipe, end = os.pipe() if arrivals is not None else (-1, -1)
        if arrivals is not None:
            files.callback(os.close, pipe)
        try:
            launcher = subprocess.Popen([sys.executable, "-I", "-S", str(LAUNCH), str(outlet), *command], stdin=source,
                                        stdout=output if arrivals is None else end, stderr=error, cwd=folder, pass_fds=(outlet,),
                                        env=environment() | dict(variables or {}), start_new_session=True)
        finally:
            os.close(outlet)
            if arrivals is not None:
                os.close(end)
        try:
            ended = select.select([inlet], [], [], timeout)[0] if arrivals is None else _gather(pipe, inlet, output, timeout, arrivals)
            if not ended:
                raise ChildError(f"did not end in {timeout:g} s")
            launcher.wait()
            answer = os.read(inlet, 4096).decode().split()
        finally:
            if launcher.poll() is None:
                os.killpg(launcher.pid, signal.SIGKILL)
                launcher.wait()
        if answer[:1] == ["error"]:
            raise ChildError(f"cannot be started: {os.strerror(int(answer[1]))}")
        if len(answer) != 5:
            raise ChildError("its launcher ended")
        output.seek(0)
        error.seek(0)
        status = os.waitstatus_to_exitcode(int(answer[3]))
        return Run(float(answer[0]), float(answer[1]), int(answer[2]) * 1024, status if status >= 0 else 128 - status,
                   output.read(), error.read(), float(answer[4]))


def _gather(pipe: int, inlet: int, output: IO[bytes], timeout: float, arrivals: list[tuple[float, int]]) -> bool:
    """Copy what comes through the pipe until the program has ended; False if it has not by the time."""
    deadline, total = monotonic() + timeout, 0
    while True:
        ready = select.select([pipe, inlet], [], [], max(0.0, deadline - monotonic()))[0]
        now = monotonic()
        data = os.read(pipe, 1 << 16) if pipe in ready else b""
        if data:
            total += len(data)
            arrivals.append((now, total))
            output.write(data)
        elif inlet in ready:
            return True
        elif not ready:
            return False
        else:
            return bool(select.select([inlet], [], [], max(0.0, deadline - monotonic()))[0])       # it has closed its output
