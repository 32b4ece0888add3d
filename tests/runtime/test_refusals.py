"""What cannot be run, as the user sees it: one line on standard error, 126 or 127 as shells have it, 2 for wrong options."""

import os

import pytest

from tests.command import ROOT, dragoman
from tests.runtime.programs import load, program, with_interpreter

HELLO = (ROOT / "guests/riscv64/hello").read_bytes()
FILES = {
    "empty": (b"", "is empty"),
    "text": (b"hello\n", "is not an ELF program"),
    "four bytes": (HELLO[:4], "is cut off in its header"),
    "half a header": (HELLO[:18], "is cut off in its header"),
    "half a table": (HELLO[:100], "is cut off in its program headers"),
    "half a segment": (program()[:0x180], "is cut off in a segment"),
    "host": (program(machine=62), "is a program of this host (x86-64): run it natively, without dragoman"),
    "arm": (program(machine=183), "is for another machine (Arm 64): dragoman runs riscv64"),
    "i386": (program(machine=3, ident=b"\x7fELF\x01\x01\x01" + bytes(9)), "is for another machine (i386): dragoman runs riscv64"),
    "32 bits": (program(ident=b"\x7fELF\x01\x01\x01" + bytes(9)), "is a 32-bit program: dragoman runs 64-bit ones"),
    "big-endian": (program(ident=b"\x7fELF\x02\x02\x01" + bytes(9))[:18] + b"\0\xf3" + program()[20:],
                   "is big-endian: dragoman runs little-endian programs"),
    "object": (program(kind=1), "is an object file, not linked yet"),
    "overlap": (program(load(), load(start=0x1_0100, offset=0x100)), "has segments that overlap"),
    "wraps": (program(load(start=(1 << 64) - 0x1000, memsz=0x2000)), "has a segment outside the address space"),
    "entry": (program(entry=0), "begins outside its code"),
    "script": (b"#!\n", "its #! line is damaged"),
}


def refused(status: int, text: str, *words: str, **options) -> None:
    done = dragoman("run", *words, **options)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"dragoman: {text}\n")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_program_of_ours(tmp_path, name):
    data, text = FILES[name]
    path = tmp_path / "p"
    path.write_bytes(data)
    path.chmod(0o755)
    refused(126, f"{path}: {text}", str(path))


def test_paths_that_lead_to_no_program(tmp_path):
    good = tmp_path / "good"
    good.write_bytes(HELLO)
    good.chmod(0o644)
    os.mkfifo(tmp_path / "pipe", 0o755)
    script = tmp_path / "script"
    script.write_text("#!/not/there\n")
    script.chmod(0o755)
    refused(126, f"{good}: no execute permission", str(good))
    refused(126, f"{tmp_path}: is a directory", str(tmp_path))
    refused(126, f"{tmp_path}/pipe: is not a regular file", str(tmp_path / "pipe"))
    refused(127, f"{tmp_path}/none: no such file", str(tmp_path / "none"))
    refused(127, f"{good}/none: no such file (a part of its path is not a directory)", str(good / "none"))
    refused(127, "/not/there: no such file", str(script))
    refused(127, ": no such file", "")


def test_a_missing_loader(tmp_path):
    path = tmp_path / "p"
    path.write_bytes(with_interpreter(b"/lib/ld-of-nobody.so.1"))
    path.chmod(0o755)
    text = f"{path}: needs the loader /lib/ld-of-nobody.so.1, and there is no %s; -L ROOT says where the guest's root is"
    refused(127, text % "/lib/ld-of-nobody.so.1", str(path))
    (tmp_path / "lib").mkdir()
    refused(127, text % f"{tmp_path}/lib/ld-of-nobody.so.1 nor /lib/ld-of-nobody.so.1", "-L", str(tmp_path), str(path))


@pytest.mark.parametrize("words", [("--nonsense", "p"), ("--engine",), ("--engine", "fast", "p"), ("-s", "0", "p"), (), ("-E", "x", "p"),
                                   ("--code-size", "1K", "p")], ids=" ".join)
def test_wrong_options(words):
    done = dragoman("run", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
