"""The machine guests are what the manifest says: files, hashes, builds, and output under an emulator not our own."""

import dataclasses
import hashlib
import shutil

import pytest

from dragoman import guests
from dragoman.guests import build

ALL = guests.machines()
NAMES = [guest.name for guest in ALL]
needs_qemu = pytest.mark.skipif(not shutil.which(build.QEMU), reason=f"{build.QEMU} is not here to compare with")
needs_cross_compiler = pytest.mark.skipif(not shutil.which(build.RISCV64), reason=f"{build.RISCV64} is not here")


@pytest.mark.parametrize("guest", ALL, ids=NAMES)
def test_files_are_there_and_unchanged(guest):
    assert hashlib.sha256(guest.path.read_bytes()).hexdigest() == guest.sha256, "run python guests/build.py"
    assert guest.toolchain
    for source in guest.sources:
        assert " " in source.read_text().splitlines()[0], "the first line says the purpose"
    lines = guest.expected_output.decode().splitlines()
    assert lines and all(line.startswith("ok ") for line in lines) and len(lines) == len(set(lines))
    assert {f"ok {name}" for name in guest.fails_on_qemu} <= set(lines)
    assert guest.expected_status == 0


def test_folders_hold_nothing_else():
    assert {file.name for file in (build.HERE / "riscv64-machine").iterdir()} == set(NAMES)
    sources = {source for guest in ALL for source in guest.sources}
    assert set((build.HERE / "src/machine").glob("*.[cS]")) == sources
    assert not set(NAMES) & {guest.name for guest in guests.programs()}


def test_binaries_are_riscv64_executables_linked_where_ram_starts():
    for guest in ALL:
        head = guest.path.read_bytes()[:32]
        assert head[:6] == b"\x7fELF\x02\x01" and int.from_bytes(head[18:20], "little") == 243, guest.name
        assert int.from_bytes(head[24:32], "little") == 0x80000000, guest.name


def test_what_is_measured_is_not_compared():
    assert guests.said(b"# 12 us\nok a\n#\nFAIL b: # 1\n") == b"ok a\nFAIL b: # 1\n"


def test_groups_that_fail_on_qemu_are_as_the_manual_says_and_no_others():
    guest = dataclasses.replace(ALL[0], fails_on_qemu=("b",))
    assert build.as_manual(guest, b"ok a\nFAIL b: 1\n#\nFAIL b: 2\nFAIL c: 1\n") == b"ok a\nok b\nFAIL c: 1\n"
    assert build.as_manual(guest, b"ok a\nok b\n") == b"ok a\nok b\n", "as a newer QEMU may"


@needs_qemu
@pytest.mark.parametrize("guest", ALL, ids=NAMES)
def test_qemu_gives_the_expected_output(guest):
    build.record_machine(guest, check=True)


@needs_cross_compiler
@pytest.mark.parametrize("guest", ALL, ids=NAMES)
def test_builds_again_to_the_same_bytes(guest, tmp_path):
    binary = tmp_path / guest.name
    build.compile_guest(guest, binary)
    if build.toolchain(guest.runtime) != guest.toolchain:
        pytest.skip(f"another toolchain than {guest.toolchain}")
    assert hashlib.sha256(binary.read_bytes()).hexdigest() == guest.sha256
