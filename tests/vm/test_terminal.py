"""The console on a terminal: every key is the guest's while the machine runs, and the terminal is as before however it ends."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios

import pytest

from tests.command import python

GUEST = python("import runpy; runpy.run_module('tests.vm.guest', run_name='__main__')")
DEADLINE = 20               # seconds until a test gives up
LFLAG = 3


class Session:
    """A process that leads a session on a terminal of its own."""

    def __init__(self, *words):
        self.process, self.terminal = pty.fork()
        if not self.process:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)        # the tests may run under nohup
            os.execv(sys.executable, [*GUEST, *words])
        self.seen = b""
        self.before = self.modes()

    def modes(self):
        return termios.tcgetattr(self.terminal)

    def raw(self):
        return not self.modes()[LFLAG] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def more(self):
        """Read what comes; false when nobody has the terminal open any more, the watching child included."""
        ready, _, _ = select.select([self.terminal], [], [], DEADLINE)
        assert ready, f"nothing comes behind {self.seen!r}"
        try:
            self.seen += os.read(self.terminal, 4096)
        except OSError:
            return False
        return True

    def expect(self, text):
        while text not in self.seen:
            assert self.more(), f"ended: {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def type(self, data):
        os.write(self.terminal, data)

    def send(self, number):
        os.kill(self.process, number)

    def end(self):
        """Exit status as a shell sees it, when all is over; the terminal must be as it was before."""
        while self.more():
            continue
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        assert self.modes() == self.before
        os.close(self.terminal)
        return status if status >= 0 else 128 - status


@pytest.fixture
def session():
    made = Session()
    made.expect(b"<runs>")
    made.type(b"\r")
    made.expect(b"[0d]")    # not [0a]: raw since then
    return made


def test_every_key_is_the_guests(session):
    assert session.raw()
    session.type(b"\x03\x04\x1a\x1c\x11\x13\x16\x7f\xff")
    session.expect(b"[03][04][1a][1c][11][13][16][7f][ff]")
    session.type(b"\x1d\x1d")
    session.expect(b"[1d]")
    session.type(b"P")
    assert session.end() == 7


def test_menu(session):
    session.type(b"\x1dh")
    session.expect(b"Ctrl-] q")
    session.type(b"\x1di")
    session.expect(b"exits: none\r\n")
    session.type(b"\x1dp")
    session.expect(b"paused")
    session.type(b"\x1dp")
    session.expect(b"going on")
    session.type(b"\x1dq")
    assert session.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_ended_by_a_signal(session, number):
    session.send(number)
    assert session.end() == 128 + number


def test_killed(session):
    session.send(signal.SIGKILL)
    assert session.end() == 128 + signal.SIGKILL


def test_crashed(session):
    session.type(b"A")
    assert session.end() == 128 + signal.SIGABRT


def test_stopped_and_continued(session):
    session.send(signal.SIGTSTP)
    assert os.WIFSTOPPED(os.waitpid(session.process, os.WUNTRACED)[1])
    assert session.modes() == session.before
    session.send(signal.SIGCONT)
    session.expect(b"<0x0>")            # the size is told when it goes on, behind the modes
    assert session.raw()
    session.type(b"P")
    assert session.end() == 7


def test_size_is_told(session):
    fcntl.ioctl(session.terminal, termios.TIOCSWINSZ, struct.pack("4H", 40, 100, 0, 0))
    session.expect(b"<100x40>")
    session.type(b"P")
    assert session.end() == 7


def test_timeout():
    session = Session("--timeout", "0.5")
    session.expect(b"ended after 0.5 s (--timeout)")
    assert session.end() == 124


# ---- without a terminal

def run(*words, **options):
    return subprocess.run([*GUEST, *words], capture_output=True, timeout=DEADLINE, **options)


def test_pipes():
    done = run("--stats", input=b"a\x1dqP")
    assert (done.stdout, done.stderr, done.returncode) == (b"<runs>[61][1d][71][50]", b"exits: none\n", 7)


def test_no_input_at_all():
    done = run("--timeout", "0.5", stdin=subprocess.DEVNULL)
    assert (done.stdout, done.returncode) == (b"<runs>", 124)


def test_crashed_guest():
    done = run(input=b"C")
    assert (done.stderr, done.returncode) == (b"dragoman: the guest is stuck\n", 1)


def test_output_into_a_file(tmp_path):
    with open(tmp_path / "log", "wb") as file:
        file.write(b"before ")
        file.flush()
        subprocess.run(GUEST, input=b"P", stdout=file, timeout=DEADLINE)
    assert (tmp_path / "log").read_bytes() == b"before <runs>[50]"


def test_output_without_a_reader():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(GUEST, stdin=subprocess.DEVNULL, stdout=writing, timeout=DEADLINE)
    os.close(writing)
    assert done.returncode == 128 + signal.SIGPIPE


def test_ignored_signals_stay_ignored():
    with subprocess.Popen(GUEST, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        assert process.stdout.read(6) == b"<runs>"
        process.send_signal(signal.SIGHUP)
        process.stdin.write(b"P")
        process.stdin.close()
        assert process.wait(DEADLINE) == 7
