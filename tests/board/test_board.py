"""The `virt` board: its map against QEMU's, its wires, and a device tree that dtc and QEMU's own tree agree with."""

import shutil
import subprocess

import fdt
import pytest

from dragoman.runtime.machine.bus import BusError
from dragoman.runtime.machine.device import WordDevice
from dragoman.runtime.machine.riscv.board import CLINT, PLIC, RTC, UART, extensions
from tests.board.parts import board

QEMU, DTC = shutil.which("qemu-system-riscv64"), shutil.which("dtc")


class Register(WordDevice):
    """A device with one word at each address."""

    def __init__(self, line, size=0x200):
        self.line, self.size = line, size

    def read_word(self, offset):
        return 0x7472_6976

    def write_word(self, offset, value):
        self.line.set(bool(value))


def properties(blob):
    """All of a device tree: (node's path, property's name) -> its value."""
    tree = fdt.parse_dtb(blob)
    return {(path, prop.name): getattr(prop, "data", None) for path, _, props in tree.walk() for prop in props}


def test_a_virtio_device_sits_in_its_slot_and_interrupts_through_the_plic():
    virt, harts, _ = board(harts=2, devices={7: Register})
    assert virt.bus.read(0x1000_8000, 4) == 0x7472_6976
    with pytest.raises(BusError):
        virt.bus.read(0x1000_8200, 4)
    virt.bus.write(PLIC + 4 * 8, 4, 1)
    virt.bus.write(PLIC + 0x2000 + 0x80 * 3, 4, 1 << 8)     # hart 1, S mode
    virt.bus.write(PLIC + 0x2000 + 0x80 * 0, 4, 1 << 8)     # hart 0, M mode
    virt.bus.write(0x1000_8000, 4, 1)
    assert [(hart.machine_external, hart.supervisor_external) for hart in harts] == [(True, False), (False, True)]
    assert virt.bus.read(PLIC + 0x20_3004, 4) == 8
    assert not harts[0].machine_external and not harts[1].supervisor_external


def test_slots_without_a_device_say_so_where_a_driver_looks():
    virt, _, _ = board(devices={7: Register})
    # virtio 1.2, table 4.1: "virt", version 2, device 0 ("ignore"), no feature; what is written changes nothing.
    for slot in range(7):
        virt.bus.write(0x1000_1000 + 0x1000 * slot + 0x70, 4, 1)
        assert [virt.bus.read(0x1000_1000 + 0x1000 * slot + offset, 4) for offset in (0, 4, 8, 0x10, 0x70)] == [0x7472_6976, 2, 0, 0, 0]


def test_uart_and_rtc_interrupt_as_10_and_11():
    virt, harts, log = board()
    for source in (10, 11):
        virt.bus.write(PLIC + 4 * source, 4, 1)
    virt.bus.write(PLIC + 0x2080, 4, 3 << 10)
    virt.bus.write(UART + 1, 1, 2)
    assert (harts[0].supervisor_external, virt.bus.read(PLIC + 0x20_1004, 4)) == (True, 10)
    virt.bus.write(RTC + 0x10, 4, 1)
    virt.bus.write(RTC + 0x08, 4, 0)     # an alarm of 1970
    assert virt.bus.read(PLIC + 0x20_1004, 4) == 11
    for byte in b"hi\n":
        virt.bus.write(UART, 1, byte)
    virt.bus.write(0x10_0000, 4, 0x0007_3333)
    virt.bus.write(0x10_0000, 4, 0x7777)
    virt.bus.write(CLINT, 4, 1)
    assert log == [("sink", b"hi\n"), ("off", 7), ("reset",)] and harts[0].software


@pytest.mark.parametrize("slot", [-1, 8])
def test_there_is_no_such_slot(slot):
    with pytest.raises(ValueError, match="slot"):
        board(devices={slot: Register})


def test_a_device_must_fit_its_slot():
    with pytest.raises(ValueError, match="at most"):
        board(devices={0: lambda line: Register(line, 0x1001)})


def test_the_tree_tells_what_the_options_say():
    virt, _, _ = board(harts=3, bootargs='quote=" tab=\t ü', mmu="sv39", extensions=("i", "m", "zicsr"), seed=b"s" * 32)
    blob = virt.tree((0x8100_0000, 0x8_8200_1234))
    found = properties(blob)
    assert bytes(found["/chosen", "bootargs"]) == 'quote=" tab=\t ü'.encode() + b"\0"
    assert found["/chosen", "linux,initrd-start"] == [0, 0x8100_0000] and found["/chosen", "linux,initrd-end"] == [8, 0x8200_1234]
    assert b"s" * 32 in blob and ("/chosen", "rng-seed") in found
    assert found["/cpus/cpu@2", "mmu-type"] == ["riscv,sv39"] and found["/cpus/cpu@2", "riscv,isa"] == ["rv64im_zicsr"]
    assert found["/cpus/cpu@2", "riscv,isa-extensions"] == ["i", "m", "zicsr"]
    assert found["/memory@80000000", "reg"] == [0, 0x8000_0000, 0, 64 << 20]
    again = properties(board()[0].tree())
    assert ("/chosen", "bootargs") not in again and ("/chosen", "linux,initrd-start") not in again


@pytest.mark.parametrize(("cpu", "svadu", "isa"), [
    ("rv64gc", True, "rv64imafdc_zicntr_zicsr_zifencei_sstc_svadu_svinval"),
    ("rv64gcb", False, "rv64imafdc_zicntr_zicsr_zifencei_zicond_zba_zbb_zbc_zbs_sstc_svade_svinval")])
def test_the_tree_has_the_extensions_of_the_cpu(cpu, svadu, isa):
    """Linux, bindings/riscv/extensions.yaml; order of names: unprivileged manual, "ISA Extension Naming Conventions"."""
    found = properties(board(extensions=extensions(cpu, svadu))[0].tree())
    assert found["/cpus/cpu@0", "riscv,isa"] == [isa] and found["/cpus/cpu@0", "riscv,isa-base"] == ["rv64i"]
    letters, *names = isa.removeprefix("rv64").split("_")
    assert found["/cpus/cpu@0", "riscv,isa-extensions"] == [*letters, *names]


def test_two_boards_have_two_trees():
    first, second = board(bootargs="one")[0].tree(), board(bootargs="two")[0].tree()
    assert b"two" in second and b"one" not in second and b"one" in first


@pytest.mark.skipif(DTC is None, reason="dtc is not installed")
def test_dtc_finds_no_fault():
    virt, _, _ = board(harts=8, devices=dict.fromkeys(range(8), Register), bootargs="console=ttyS0")
    # interrupt_provider: Linux's own bindings have no #address-cells in a hart's interrupt controller.
    checked = subprocess.run([DTC, "-I", "dtb", "-O", "dts", "-W", "no-interrupt_provider", "-o", "/dev/null", "-"],
                             input=virt.tree((0x8100_0000, 0x8200_0000)), capture_output=True, check=True)
    assert checked.stderr == b""


@pytest.mark.skipif(QEMU is None, reason="qemu-system-riscv64 is not installed")
def test_devices_are_where_qemu_has_them(tmp_path):
    blob = tmp_path / "qemu.dtb"
    subprocess.run([QEMU, "-machine", f"virt,dumpdtb={blob}", "-smp", "2", "-m", "64"], check=True, capture_output=True)
    theirs = properties(blob.read_bytes())
    ours = properties(board(harts=2, devices=dict.fromkeys(range(8), Register))[0].tree())
    # Handles are numbers of each tree's own; QEMU's ISA is its own.
    skipped = ("phandle", "interrupt-parent", "regmap", "cpu", "interrupts-extended", "riscv,isa", "riscv,isa-base", "riscv,isa-extensions",
               "rng-seed", "model")
    shared = {key for key in ours if key[1] not in skipped}
    assert {key for key in shared if key not in theirs} == set()
    assert {key: ours[key] for key in shared} == {key: theirs[key] for key in shared}
    # Interrupts of the harts, without the handles.
    for key in (("/soc/plic@c000000", "interrupts-extended"), ("/soc/clint@2000000", "interrupts-extended")):
        assert ours[key][1::2] == theirs[key][1::2]
