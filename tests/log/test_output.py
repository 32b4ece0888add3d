"""Where the log goes: standard error or a file, each line whole with threads, forks and slow readers."""

import fcntl
import os
import re
import subprocess

import pytest

from dragoman.runtime.process.log import PIPE_BUF, write
from tests.command import DRAGOMAN, dragoman
from tests.log.guest import ENGINES, GUESTS, with_symbols

LINE = re.compile(r"(in_asm|recipe|out_asm) .*|  .*|exec \d+ 0x[0-9a-f]+:?( f?\w+=0x[0-9a-f]+)*"
                  r"|dragoman: guest SIG.*")
FORKED = 4


def expected(name):
    return (GUESTS.parent / "expected" / f"{name}.txt").read_text()


@pytest.mark.parametrize("engine", ENGINES)
def test_to_a_file(tmp_path, engine):
    file = tmp_path / "log"
    done = dragoman("run", "--engine", engine, "-d", "in_asm,exec", "-D", str(file), str(GUESTS / "hello"))
    assert (done.stdout, done.stderr) == (expected("hello"), "")
    assert [line.split()[0] for line in file.read_text().splitlines() if not line.startswith(" ")] == [
        "in_asm", "exec", "in_asm", "exec"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("guest", "items"), [("processes", "in_asm,exec"), ("threads", "in_asm,recipe,out_asm")])
def test_lines_are_whole_with_forks_and_threads(tmp_path, engine, guest, items):
    """They are also the guests' own output that stays as it is: blocks are left and entered again everywhere."""
    file = tmp_path / "log"
    done = dragoman("run", "--engine", engine, "-d", items, "-D", str(file), str(GUESTS / guest), timeout=300)
    assert (done.returncode, done.stdout) == (0, expected(guest))
    with open(file) as log:
        wrong = [line for line in log if not LINE.fullmatch(line.rstrip("\n"))]
    assert wrong == []
    if guest == "processes":
        threads = {line.split()[1] for line in file.read_text().splitlines() if line.startswith("exec")}
        assert len(threads) > 3


def test_the_guest_may_close_standard_error(tmp_path):
    """The log has a descriptor of its own: what the guest then opens as 2 is the guest's alone."""
    program = with_symbols(tmp_path / "program")
    done = subprocess.run([*DRAGOMAN, "run", "-d", "unimp", str(program)], stderr=subprocess.PIPE, check=True)
    assert done.stderr == b"system call 9999 (an unknown one) is not there: ENOSYS\n"
    assert subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *DRAGOMAN, "run", "-d", "in_asm", program]).returncode == 0


def test_processes_share_a_full_pipe_that_does_not_block():
    outlet, inlet = os.pipe()
    fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, PIPE_BUF)
    os.set_blocking(inlet, False)
    lines = {letter: "".join(f"{letter * (n % 200 + 1)}{n}\n" for n in range(600)) for letter in "abcd"}
    children = []
    for text in lines.values():
        child = os.fork()
        if child == 0:
            write(inlet, text.encode())
            os._exit(0)
        children.append(child)
    os.close(inlet)
    with open(outlet) as pipe:
        read = pipe.read().splitlines()
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * FORKED
    for letter, text in lines.items():
        assert [line for line in read if line.startswith(letter)] == text.splitlines()


def test_a_line_longer_than_a_pipe_takes_at_once_is_written():
    outlet, inlet = os.pipe()
    write(inlet, b"x" * (PIPE_BUF + 10) + b"\nend\n")
    os.close(inlet)
    with open(outlet, "rb") as pipe:
        assert pipe.read() == b"x" * (PIPE_BUF + 10) + b"\nend\n"


def test_what_cannot_be_written_is_lost():
    with open("/dev/full", "wb", buffering=0) as full:
        write(full.fileno(), b"line\n")
