"""The console of a machine that runs as a child process: waits for what it prints, types."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


class ConsoleError(Exception):
    """The machine did not print what was waited for; the text has the end of what it did print."""


class Console:
    """A running machine. As a context manager: the process does not outlive it."""

    def __init__(self, command: Sequence[str | Path], log: Path | None = None) -> None:
        """Starts the command; with log, all that it prints is written there too."""
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = bytearray()
        self.seen = 0  # offset in output behind what was waited for last
        self.log = log.open("wb", buffering=0) if log else None

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.log):
            if file:
                file.close()

    def expect(self, pattern: str, seconds: float) -> re.Match[bytes]:
        """Waits for a regular expression (over lines) in what comes next. Raises ConsoleError after so long, or at the end."""
        assert self.process.stdout
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern.encode(), self.output[self.seen:], re.M)):
            ready = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                why = "it ended" if ready else f"{seconds:g} s are over"
                raise ConsoleError(f"no {pattern!r}: {why}; the end of its output:\n{self.output[-2000:].decode(errors='replace')}")
            self.output += data
            if self.log:
                self.log.write(data)
        self.seen += found.end()
        return found

    def send(self, text: str) -> None:
        """Types this."""
        assert self.process.stdin
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def shell(self, command: str, seconds: float) -> tuple[str, int]:
        """What one command prints in a shell at its prompt, and its status."""
        self.send(f'echo "<""begin>"; {command}; echo "[$?]"\n')  # the terminal's echo of this has neither mark
        self.expect(r"<begin>\r*\n", seconds)
        start = self.seen
        found = self.expect(r"\[(\d+)\]\r*\n", seconds)
        text = bytes(self.output[start:self.seen - len(found[0])])
        return text.replace(b"\r", b"").decode(errors="replace"), int(found[1])

    def finish(self, seconds: float) -> int:
        """Waits for the machine's end; its exit status. Raises ConsoleError where it goes on."""
        try:
            rest, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ConsoleError(f"it goes on after {seconds:g} s; the end of its output:\n{self.output[-2000:].decode(errors='replace')}") from None
        self.output += rest
        if self.log:
            self.log.write(rest)
        return self.process.returncode
