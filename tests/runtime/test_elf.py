"""The loader: what it maps, what it refuses and how it says so, and that no damaged file gets past it."""

import os
import stat
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.runtime.memory.space import AddressSpace
from dragoman.runtime.memory.window import PROT_EXEC, PROT_READ, PROT_WRITE, GuestFault
from dragoman.runtime.process import elf, stack
from tests.command import ROOT
from tests.runtime import programs
from tests.runtime.guest import WINDOW, Engine
from tests.runtime.programs import BASE, RW, load, program, with_interpreter

GUESTS = sorted(path.name for path in (ROOT / "guests/riscv64").iterdir() if path.is_file())


@pytest.fixture
def empty():
    memory = AddressSpace(WINDOW)
    memory.engine = Engine()
    yield memory
    memory.close()


def write(path: Path, data: bytes, mode: int = 0o755) -> bytes:
    path.write_bytes(data)
    path.chmod(mode)
    return os.fsencode(path)


def read(path: bytes, find=lambda name: name) -> elf.Program:
    return elf.read(path, b"prog", WINDOW, find)


def refusal(path: bytes, find=lambda name: name) -> elf.LoadError:
    with pytest.raises(elf.LoadError) as caught:
        read(path, find).close()
    assert "\n" not in caught.value.message and caught.value.message.startswith(("prog: ", "/"))
    assert caught.value.status in (126, 127)
    return caught.value


@pytest.mark.parametrize(("data", "words"), [
    (b"", "is empty"), (b"\x7fEL", "not an ELF"), (b"hello world", "not an ELF"), (b"#!/bin/sh\n", "script"),
    (program()[:40], "cut off in its header"), (program()[:70], "cut off in its program headers"),
    (program()[:0x180], "cut off in a segment"),
    (program(machine=62), "natively"), (program(machine=183), "Arm 64"), (program(machine=9999), "machine 9999"),
    (program(ident=b"\x7fELF\x01\x01\x01" + bytes(9)), "32-bit"),
    (program(ident=b"\x7fELF\x02\x02\x01" + bytes(9)), "another machine"),
    (program(ident=b"\x7fELF\x02\x02\x01" + bytes(9))[:18] + b"\0\xf3" + program()[20:], "big-endian"),
    (program(kind=1), "object file"), (program(kind=4), "core"), (program(kind=77), "no program"),
    (program(phentsize=32), "damaged program headers"), (program(phnum=0), "damaged program headers"),
    (program(phnum=65535), "damaged program headers"), (program(phoff=1 << 60), "cut off in its program headers"),
    (program(flags=8), "RV64E"), (program((programs.GNU_STACK, 6, 0, 0, 0, 0, 0, 0)), "nothing to load"),
    (program(load(), load(start=BASE + 0x100, offset=0x100)), "overlap"),
    (program(load(start=(1 << 64) - 0x1000, memsz=0x2000), entry=BASE), "outside the address space"),
    (program(load(start=1 << 63), entry=1 << 63), "outside the address space"),
    (program(load(memsz=1 << 50)), "outside the address space"),
    (program(load(filesz=0x300, memsz=0x200)), "larger in the file"),
    (program(load(filesz=(1 << 64) - 1, memsz=(1 << 64) - 1)), "cut off in a segment"),
    (program(load(start=BASE + 8)), "cannot be mapped"), (program(load(start=0), entry=0x100), "below 64 KiB"),
    (program(entry=0), "outside its code"), (program(entry=BASE + 0x200), "outside its code"),
    (program(load(flags=RW)), "outside its code"),
    (program((programs.INTERP, 4, 0, 0, 0, 1, 1, 1), load()), "damaged name of a loader"),
    (program((programs.INTERP, 4, 1 << 40, 0, 0, 10, 10, 1), load()), "cut off in the name"),
    (program((programs.INTERP, 4, 0, 0, 0, 5, 5, 1), load()), "damaged name of a loader"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_bad_programs_are_refused_in_one_line(tmp_path, data, words):
    error = refusal(write(tmp_path / "p", data))
    assert words in error.message and error.status == 126


def test_files_that_cannot_be_opened(tmp_path):
    good = write(tmp_path / "p", program(), 0o644)
    assert (refusal(good).message, refusal(good).status) == ("prog: no execute permission", 126)
    assert refusal(bytes(tmp_path)).message == "prog: is a directory"
    missing = refusal(bytes(tmp_path / "missing"))
    assert (missing.message, missing.status) == ("prog: no such file", 127)
    assert refusal(good + b"/below").status == 127
    assert refusal(b"/dev/null").message == "prog: is not a regular file"
    assert refusal(b"x" * 300).status == 126
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "symbolic links" in refusal(bytes(loop)).message
    os.mkfifo(tmp_path / "pipe", 0o755)
    assert refusal(bytes(tmp_path / "pipe")).message == "prog: is not a regular file"      # and it does not wait


def test_names_are_printed_on_one_line(tmp_path):
    with pytest.raises(elf.LoadError) as caught:
        elf.read(b"/none", b"a\nb\xff", WINDOW, lambda name: name)
    assert caught.value.message == "a\\nb\\udcff: no such file"


def test_a_missing_loader_is_named_with_the_option_that_helps(tmp_path):
    path = write(tmp_path / "p", with_interpreter(b"/lib/ld-linux-riscv64-lp64d.so.1"))
    error = refusal(path, lambda name: bytes(tmp_path) + name)
    assert error.status == 127
    assert "/lib/ld-linux-riscv64-lp64d.so.1" in error.message and f"{tmp_path}/lib" in error.message
    assert "-L" in error.message


def test_a_bad_loader_is_refused_too(tmp_path):
    path = write(tmp_path / "p", with_interpreter())
    loader = write(tmp_path / "ld", program(machine=62))
    assert refusal(path, lambda name: loader).message.startswith("/lib/ld.so: ")
    loader = write(tmp_path / "ld", with_interpreter())
    assert "needs a loader" in refusal(path, lambda name: loader).message


def test_no_descriptor_is_left(tmp_path, empty):
    before = os.listdir("/proc/self/fd")
    path, loader = write(tmp_path / "p", with_interpreter()), write(tmp_path / "ld", program(kind=3, entry=BASE + 8))
    elf.load(empty, read(path, lambda name: loader))
    refusal(write(tmp_path / "q", program(machine=62)))
    refusal(path, lambda name: b"/none")
    assert os.listdir("/proc/self/fd") == before


def test_segments_are_mapped_and_bss_is_zero(tmp_path, empty):
    code, data = load(filesz=0x300), load(start=0x12800, offset=0x800, filesz=0x100, memsz=0x2000, flags=RW)
    body = bytearray(program(code, data, entry=BASE + 0x120))
    body[0x800:0x900] = b"d" * 0x100
    body[0x900:] = b"!" * (len(body) - 0x900)       # the file goes on where bss begins
    image = elf.load(empty, read(write(tmp_path / "p", bytes(body))))
    assert image.start == image.entry == BASE + 0x120 and image.phdr == BASE + 64 and image.phnum == 2
    assert empty.read(BASE, 4) == b"\x7fELF"
    assert empty.read(0x12800, 0x100) == b"d" * 0x100
    assert empty.read(0x12900, 0x1F00) == bytes(0x1F00)
    assert empty.brk(0) == 0x15000
    assert [(area.start, area.end, area.prot) for area in empty.snapshot()] == [
        (0x10000, 0x11000, PROT_READ | PROT_EXEC), (0x11000, 0x12000, 0), (0x12000, 0x15000, PROT_READ | PROT_WRITE)]
    with pytest.raises(GuestFault):
        empty.write(BASE, b"x")


def test_position_independent_programs_lie_at_the_same_place_each_time(tmp_path):
    path = write(tmp_path / "p", program(load(start=0), kind=3, entry=0x100))
    starts = set()
    for _ in range(2):
        memory = AddressSpace(WINDOW)
        starts.add(elf.load(memory, read(path)).start)
        memory.close()
    assert starts == {(WINDOW // 3 * 2 & -4096) + 0x100}


def test_an_alignment_of_a_segment_is_kept(tmp_path, empty):
    image = elf.load(empty, read(write(tmp_path / "p", program(load(start=0, align=1 << 21), kind=3, entry=0x100))))
    assert (image.start - 0x100) % (1 << 21) == 0


@pytest.mark.parametrize("name", GUESTS)
def test_shipped_guests_load(name, empty):
    image = elf.load(empty, elf.read(bytes(ROOT / "guests/riscv64" / name), name.encode(), WINDOW, lambda path: path))
    area = empty.table.find(image.start)
    assert area.prot & PROT_EXEC and empty.engine.ranges[image.start & -4096] in (False, True)
    assert empty.read(image.phdr, 56 * image.phnum)


# ---- the stack

def words_at(memory, address):
    while True:
        yield struct.unpack("<Q", memory.read(address, 8))[0]
        address += 8


def test_the_stack_is_as_the_kernel_hands_it_over(tmp_path, empty):
    arguments = (b"name", b"", "ä ö".encode(), b"\xff\xfe")
    environment = (b"A=1", b"EMPTY=", b"B=" + b"x" * 1000)
    image = stack.prepare(empty, read(write(tmp_path / "p", program())), arguments, environment, b"./as/given", 1 << 20)
    sp = image.stack_pointer
    assert sp % 16 == 0
    words = words_at(empty, sp)
    assert next(words) == 4
    assert tuple(empty.read_string(next(words)) for _ in range(4)) == arguments
    assert next(words) == 0
    assert tuple(empty.read_string(next(words)) for _ in range(3)) == environment
    assert next(words) == 0
    auxv = {}
    while (key := next(words)) != 0:
        auxv[key] = next(words)
    assert auxv[3] == image.phdr and auxv[4] == 56 and auxv[5] == 1 and auxv[6] == 4096 and auxv[9] == image.entry
    assert auxv[7] == 0 and auxv[11] == os.getuid() and auxv[14] == os.getegid() and auxv[17] == 100 and auxv[23] == 0
    assert auxv[16] == 0b1_0001_0010_1101      # I M A F D C
    assert empty.read_string(auxv[31]) == b"./as/given"
    assert len(empty.read(auxv[25], 16)) == 16 and empty.read(auxv[25], 16) != bytes(16)
    assert image.auxv.startswith(struct.pack("<QQ", 3, image.phdr)) and image.auxv.endswith(bytes(16))
    area = empty.table.find(sp)
    assert area.prot == PROT_READ | PROT_WRITE and area.end - area.start >= 1 << 20


def test_an_executable_stack_where_it_is_asked_for(tmp_path, empty):
    data = program(load(), (programs.GNU_STACK, 7, 0, 0, 0, 0, 0, 16))
    image = stack.prepare(empty, read(write(tmp_path / "p", data)), (b"a",), (), b"a", None)
    assert empty.table.find(image.stack_pointer).prot & PROT_EXEC


def test_arguments_that_are_too_long(tmp_path, empty):
    path = write(tmp_path / "p", program())
    for arguments in ((b"x" * (1 << 17),), (b"x" * 1000,) * 5000):
        with pytest.raises(elf.LoadError) as caught:
            stack.prepare(empty, read(path), arguments, (), b"p", 8 << 20)
        assert caught.value.errno == 7
    stack.prepare(empty, read(path), (b"x" * 1000,) * 1000, (), b"p", 8 << 20)


def test_a_tiny_stack_still_holds_what_the_program_starts_with(tmp_path, empty):
    image = stack.prepare(empty, read(write(tmp_path / "p", program())), (b"x" * 1000,) * 100, (), b"p", 1)
    assert empty.read(image.stack_pointer, 8) == (100).to_bytes(8, "little")


# ---- damage

SHAPES = [program(), program(load(start=0), kind=3, entry=0x100), with_interpreter(),
          program(load(filesz=0x300), load(start=0x12800, offset=0x800, filesz=0x100, memsz=0x2000, flags=RW)),
          (ROOT / "guests/riscv64/hello").read_bytes()]
EDGES = st.sampled_from([0, 1, 2, 3, 6, 7, 55, 56, 57, 64, 4095, 4096, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 38, 1 << 63,
                         (1 << 64) - 4096, (1 << 64) - 1]) | st.integers(0, (1 << 64) - 1)
DAMAGE = st.lists(st.tuples(st.integers(0, 64 + 3 * 56), st.sampled_from([1, 2, 4, 8]), EDGES), max_size=6)


def survives(path: Path, shape: int, damage: list, cut: int | None) -> None:
    """Load a damaged program: it either loads or is refused, and the address space stays whole."""
    data = bytearray(SHAPES[shape])
    for at, size, value in damage:
        data[at:at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    name = write(path / "p", bytes(data[:cut]))
    memory = AddressSpace(1 << 30)
    try:
        loader = write(path / "ld", SHAPES[1])
        found = elf.read(name, b"prog", memory.size, lambda path: loader)
        image = stack.prepare(memory, found, (b"prog",), (), b"prog", 1 << 16)
        assert memory.table.find(image.entry) is not None and memory.read(image.stack_pointer, 8)[0] == 1
    except elf.LoadError as error:
        assert error.status == 126 and "\n" not in error.message
    finally:
        memory.close()


@settings(max_examples=300, deadline=None)
@given(shape=st.integers(0, len(SHAPES) - 1), damage=DAMAGE, cut=st.none() | st.integers(0, 400))
def test_damaged_programs_do_no_harm(tmp_path_factory, shape, damage, cut):
    survives(tmp_path_factory.getbasetemp(), shape, damage, cut)


@pytest.mark.long
@settings(max_examples=20_000, deadline=None)
@given(shape=st.integers(0, len(SHAPES) - 1), damage=DAMAGE, cut=st.none() | st.integers(0, 400))
def test_damaged_programs_do_no_harm_long(tmp_path_factory, shape, damage, cut):
    survives(tmp_path_factory.getbasetemp(), shape, damage, cut)


def test_execute_permission_is_that_of_the_file(tmp_path):
    path = write(tmp_path / "p", program())
    assert os.stat(path).st_mode & stat.S_IXUSR
    read(path).close()
