"""The guest programs are what the manifest says: files, hashes, builds, and output under an emulator not our own."""

import hashlib
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman import guests
from dragoman.guests import build

ALL = guests.programs()
MEASURED = ("compute", "micro")     # kinds that have a short run, too
NAMES = [guest.name for guest in ALL]
QEMU = shutil.which("qemu-riscv64")

needs_qemu = pytest.mark.skipif(not QEMU, reason="qemu-riscv64 is not here to compare with")
needs_cross_compiler = pytest.mark.skipif(not shutil.which(build.RISCV64), reason=f"{build.RISCV64} is not here")
needs_compiler = pytest.mark.skipif(not shutil.which(build.NATIVE), reason=f"{build.NATIVE} is not here")


def under_qemu(guest: guests.Guest, binary: Path) -> None:
    if guest.unlike_qemu:
        pytest.skip(guest.unlike_qemu)
    output, status = build.run_guest([QEMU, str(binary), *guest.arguments])
    assert (output, status) == (guest.expected_output, guest.expected_status)


def test_there_are_enough_programs():
    kinds = [guest.kind for guest in ALL]
    assert set(kinds) == set(guests.KINDS)
    assert kinds.count("compute-int") >= 8 and kinds.count("compute-float") >= 8
    assert len(NAMES) == len(set(NAMES)) >= 26


@pytest.mark.parametrize("guest", ALL, ids=NAMES)
def test_files_are_there_and_unchanged(guest):
    assert hashlib.sha256(guest.path.read_bytes()).hexdigest() == guest.sha256, "run python guests/build.py"
    assert guest.path.stat().st_mode & 0o111
    assert guest.toolchain
    for source in guest.sources:
        assert " " in source.read_text().splitlines()[0], "the first line says the purpose"
    for run in (guest, guests.find(guest.name, small=True)):
        assert run.expected_output and 0 <= run.expected_status < 256
    if guest.kind.startswith(MEASURED):
        assert guests.find(guest.name, small=True).arguments != guest.arguments, "a short run for tests"


@pytest.mark.parametrize("guest", ALL, ids=NAMES)
def test_code_cannot_be_written_to(guest):
    """The store keeps regions of files' code; a segment that is writable too is none (flags: separate-code)."""
    data = guest.path.read_bytes()
    table, = struct.unpack_from("<Q", data, 32)                     # e_phoff, e_phentsize, e_phnum (ELF-64 Object File Format, 1.5d4)
    size, count = struct.unpack_from("<HH", data, 54)
    flags = [flags for kind, flags in (struct.unpack_from("<II", data, table + size * n) for n in range(count)) if kind == 1]
    assert flags and not any(flags & 3 == 3 for flags in flags)     # PF_X and PF_W of PT_LOAD


def test_folders_hold_nothing_else():
    here = Path(guests.__file__).parent
    assert {file.name for file in (here / "riscv64").iterdir()} == set(NAMES)
    sources = {source for guest in ALL for source in guest.sources}
    assert {file.resolve() for file in (here / "src").glob("*.[cS]")} == sources
    runs = {guests.expected_file(guest.name, small) for guest in ALL for small in (False, guest.kind.startswith(MEASURED))}
    runs |= {guests.expected_file(guest.name, False) for guest in guests.machines()}
    assert {file.resolve() for file in (here / "expected").iterdir()} == runs
    assert sum(guest.path.stat().st_size for guest in ALL) < 15e6


def test_binaries_are_static_riscv64_programs():
    for guest in ALL:
        head = guest.path.read_bytes()[:20]
        assert head[:6] == b"\x7fELF\x02\x01" and int.from_bytes(head[18:20], "little") == 243, guest.name


def test_find_names_the_guests_it_knows():
    assert guests.find("fib").kind == "compute-int"
    with pytest.raises(KeyError, match=r"no guest is called 'fob'.*fib"):
        guests.find("fob")


def test_set_value_changes_one_guest_only():
    text = '[guest.a]\nkind = "x"\nstatus = 1\n\n[guest.ab]\nkind = "y"\n'
    assert build.set_value(text, "a", "status", 2) == text.replace("1", "2")
    assert build.set_value(text, "a", "sha256", "f0") == text.replace("1\n", '1\nsha256 = "f0"\n')
    assert build.set_value(text, "ab", "status", 3) == text + "status = 3\n"


def test_the_script_says_in_a_line_what_is_missing(tmp_path):
    copy = tmp_path / "guests"
    shutil.copytree(build.HERE, copy, ignore=shutil.ignore_patterns("riscv64", "__pycache__"))
    script = copy / "build.py"
    script.write_text(script.read_text().replace('"/usr/bin:/bin"', '"/nowhere"'))
    done = subprocess.run([sys.executable, script, "fib"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "build.py: riscv64-linux-gnu-gcc is not here: apt install gcc-riscv64-linux-gnu libc6-dev-riscv64-cross"
    ]


@needs_qemu
@pytest.mark.parametrize("name", NAMES)
def test_qemu_gives_the_expected_output(name):
    guest = guests.find(name, small=True)
    under_qemu(guest, guest.path)


@pytest.mark.long
@needs_qemu
@pytest.mark.parametrize("guest", [guest for guest in ALL if guest.kind.startswith("compute")], ids=lambda g: g.name)
def test_qemu_gives_the_expected_output_of_the_measured_run(guest):
    under_qemu(guest, guest.path)


@needs_cross_compiler
@pytest.mark.parametrize("guest", ALL, ids=NAMES)
def test_builds_again_to_the_same_bytes(guest, tmp_path):
    binary = tmp_path / guest.name
    build.compile_guest(guest, binary)
    if build.toolchain(guest.runtime) == guest.toolchain:
        assert hashlib.sha256(binary.read_bytes()).hexdigest() == guest.sha256
    elif QEMU:
        under_qemu(guests.find(guest.name, small=True), binary)


@pytest.mark.long
@needs_compiler
@pytest.mark.parametrize("guest", ALL, ids=NAMES)
def test_a_native_build_gives_the_expected_output(guest, tmp_path):
    build.record(guest, check=True, folder=tmp_path)
