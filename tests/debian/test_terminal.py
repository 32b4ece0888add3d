"""An interactive shell at a terminal: jobs are stopped, go on in the foreground, and are interrupted; the size changes."""

import fcntl
import os
import pty
import select
import struct
import termios
import time

import pytest

from tests.command import DRAGOMAN
from tests.debian.roots import debian_root

pytestmark = pytest.mark.debian
PATIENCE = 60
PROMPT = b"ready> "
SHELL = "/usr/bin/bash"
WAYS = {"plain": None, "namespaces": "namespaces", "descriptors": "descriptors"}


@pytest.fixture(scope="module")
def root():
    return debian_root(["bash", "coreutils", "dash"])


class Terminal:
    """The outer end of one, with a command of its own session at the other."""

    def __init__(self, words: list[str]) -> None:
        self.process, self.end = pty.fork()
        if not self.process:
            os.execve(words[0], words, {**os.environ, "PS1": PROMPT.decode(), "TERM": "dumb"})
        self.seen = b""

    def until(self, text: bytes) -> bytes:
        """What comes up to this text, which must come."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert select.select([self.end], [], [], max(0.0, end - time.monotonic()))[0], self.seen
            self.seen += os.read(self.end, 4096)
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text: bytes, expected: bytes = PROMPT) -> bytes:
        os.write(self.end, text)
        return self.until(expected)

    def status(self) -> int:
        """Of the command, which ends by itself: the terminal is there until then, since its end would be a SIGHUP."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        os.close(self.end)
        return status


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_jobs(root, way):
    place = ["--rootfs", str(root), "--containment", way, SHELL] if way else ["-L", str(root), f"{root}{SHELL}"]
    terminal = Terminal([*DRAGOMAN, "run", *place, "--norc", "--noprofile", "-i"])
    terminal.until(PROMPT)
    terminal.type(b"sh -c 'echo o''n; while read word; do echo got $word; done'\n", b"on\r\n")
    assert b"Stopped" in terminal.type(b"\x1a")                         # Ctrl-Z
    assert b"Stopped" in terminal.type(b"jobs\n")
    os.write(terminal.end, b"fg\n")
    terminal.type(b"this\n", b"got this\r\n")                          # it has the terminal again
    terminal.type(b"\x03")                                              # Ctrl-C ends the job, not the shell
    assert b"\r\n130\r\n" in terminal.type(b"echo $?\n")
    terminal.type(b"sleep 300 &\n")
    terminal.type(b"kill %1; wait\n")
    fcntl.ioctl(terminal.end, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    terminal.type(b"stty size\n", b"33 101\r\n")
    terminal.until(PROMPT)
    os.write(terminal.end, b"exit 7\n")
    terminal.until(b"exit\r\n")
    assert terminal.status() == 7
