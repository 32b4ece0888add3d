"""Names of guest addresses."""

import ctypes
import mmap
import shutil
import subprocess
from pathlib import Path

import numba
import pytest

from dragoman.runtime.process.symbols import Symbols, Table
from tests.log.guest import START, with_symbols


@pytest.fixture
def path(tmp_path):
    return with_symbols(tmp_path / "program")


def test_by_offset_in_the_file(path):
    table = Table(bytes(path))
    at = START - 0x1_0000
    assert [table.name(at + n) for n in (-1, 0, 1, 15, 16, 17, 25, 26)] == [
        "", "start", "start+0x1", "start+0xf", "ending", "ending+0x1", "ending+0x9", ""]


def test_by_address_where_the_file_is_mapped(path):
    with open(path, "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    symbols = Symbols(address - 0x5000)
    assert symbols(0x5100) == "start"
    assert symbols(0x5112) == "ending+0x2"
    assert symbols(0x5000) == symbols(0x10_0000_0000) == ""


@pytest.mark.parametrize("size", [0, 3, 64, 70, 0x110, 0x1f0, 0x260, 0x2d0, 0x330])
def test_a_file_that_is_cut_has_no_names_or_fewer(path, size):
    path.write_bytes(path.read_bytes()[:size])
    assert Table(bytes(path)).name(START - 0x1_0000) in ("", "start")


def test_no_file():
    assert Table(b"/nowhere").name(0) == ""


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
def test_as_nm_has_them():
    """On a shared library of the host: its symbols are of the same kind."""
    file = str(next(Path(numba.__file__).parent.glob("_helperlib*.so")))
    listed = subprocess.run(["nm", "-D", "--defined-only", file], capture_output=True, text=True, check=True).stdout
    names = {}
    for at, kind, name in (line.split() for line in listed.splitlines()):
        if kind == "T":
            names.setdefault(int(at, 16), set()).add(name)
    table, found = Table(file.encode()), 0
    for start, end, address in table.loads:
        for at in names:
            if address <= at < address + end - start:
                assert table.name(at - address + start) in names[at]
                found += 1
    assert found == len(names) > 10
