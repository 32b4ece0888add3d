"""The `virt` board: which devices are where, how their interrupts are wired, and the device tree that says so."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dragoman.dbt.isa.levels import WITH_BITS
from dragoman.runtime.machine import device_tree
from dragoman.runtime.machine.bus import Bus
from dragoman.runtime.machine.device_tree import cells
from dragoman.runtime.machine.devices.clint import Clint, TimedHart
from dragoman.runtime.machine.devices.finisher import PASS, RESET, Finisher
from dragoman.runtime.machine.devices.plic import SOURCES, Plic, Source
from dragoman.runtime.machine.devices.rtc import Rtc
from dragoman.runtime.machine.devices.uart import Uart
from dragoman.runtime.machine.virtio.empty_slot import EmptySlot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dragoman.runtime.machine.device import Device
    from dragoman.runtime.machine.events import Events
    from dragoman.runtime.machine.virtio.doorbell import Doorbell

# The physical address space, as QEMU's `virt` has it (hw/riscv/virt.c, virt_memmap).
FINISHER = 0x10_0000
RTC, RTC_SOURCE = 0x10_1000, 11
CLINT = 0x200_0000
PLIC = 0xC00_0000
UART, UART_SOURCE = 0x1000_0000, 10
VIRTIO, VIRTIO_STRIDE, VIRTIO_SIZE, VIRTIO_SOURCE = 0x1000_1000, 0x1000, 0x1000, 1   # of slot 0; slot n follows
SLOTS = 8
EMPTY_SLOT = EmptySlot()
DOORBELL, DOORBELL_SOURCE = 0x1020_0000, 12          # QEMU's board has nothing there
RAM = 0x8000_0000

TIME_BASE = 10_000_000       # Hz
UART_CLOCK = 3_686_400       # Hz: 115200 baud are divisor 2
M_SOFTWARE, M_TIMER, S_EXTERNAL, M_EXTERNAL = 3, 7, 9, 11   # interrupt codes (privileged manual, table of mcause)
# As a hart's node of the device tree lists them (Linux, bindings/riscv/extensions.yaml), of options.cpu = rv64gc.
EXTENSIONS = ("i", "m", "a", "f", "d", "c", "zicntr", "zicsr", "zifencei", "sstc", "svadu", "svinval")
BITS = ("zicond", "zba", "zbb", "zbc", "zbs")       # and of rv64gcb


def extensions(cpu: str, svadu: bool) -> list[str]:
    """Of a CPU of options.CPUS, in the manual's order of names: letters, then Z..., then S... Without Svadu it has Svade."""
    first = EXTENSIONS.index("sstc")
    names = [*EXTENSIONS[:first], *(BITS if cpu == WITH_BITS else ()), *EXTENSIONS[first:]]
    return ["svade" if name == "svadu" and not svadu else name for name in names]


class Hart(TimedHart, Protocol):
    """What the board needs of a hart: wires to its interrupts, and its time. Called with the machine's lock held, from any thread."""

    def set_machine_external(self, level: bool) -> None: ...      # mip.MEIP

    def set_supervisor_external(self, level: bool) -> None: ...   # mip.SEIP, the wire's part of it


class Ram(Protocol):
    """RAM as the device tree tells of it, bytes."""

    base: int
    size: int


@dataclass
class BoardOptions:
    """What is not the same on every board. `extensions` are names of the device tree's binding, base letters first."""

    sink: Callable[[bytes], object]            # what the UART sends
    power_off: Callable[[int], object]         # a guest ends the machine, with its exit code
    reset: Callable[[], object]                # a guest restarts the machine
    bootargs: str = ""
    extensions: Sequence[str] = EXTENSIONS
    mmu: str = "sv48"                          # or "sv39"
    clock: Callable[[], int] = time.time_ns    # of the RTC, ns since 1970
    seed: bytes | None = None                  # for the kernel's random numbers; None: the host's


class Board:
    """The devices of a machine. In this order: `Board`, `line` for each virtio slot in use, `build`, `tree`.

    `bus`, `plic`, and after `build` `clint`, `uart`, `rtc`, `finisher` are the parts.
    """

    def __init__(self, events: Events):
        self.events = events
        self.bus = Bus(events.lock)
        self.plic = Plic()

    def line(self, slot: int) -> Source:
        """The interrupt line of a virtio slot, for the device that will be put there. ValueError: no such slot."""
        if not 0 <= slot < SLOTS:
            raise ValueError(f"virtio slot {slot}: 0 to {SLOTS - 1} are there")
        return self.plic.line(VIRTIO_SOURCE + slot)

    def build(self, harts: Sequence[Hart], ram: Ram, options: BoardOptions, devices: Mapping[int, Device] | None = None,
              doorbell: Doorbell | None = None) -> None:
        """Make the devices, wire and map them; `devices` are virtio devices by slot. ValueError for a slot that is not there."""
        self.doorbell = doorbell
        self.harts, self.ram, self.options, self.devices = harts, ram, options, dict(devices or {})
        self.clint = Clint(harts)
        self.uart = Uart(self.plic.line(UART_SOURCE), options.sink, self.events)
        self.rtc = Rtc(self.plic.line(RTC_SOURCE), self.events, options.clock)
        self.finisher = Finisher(options.power_off, options.reset)
        self.plic.connect([target for hart in harts for target in (hart.set_machine_external, hart.set_supervisor_external)])
        windows: dict[int, Device] = {FINISHER: self.finisher, RTC: self.rtc, CLINT: self.clint, PLIC: self.plic, UART: self.uart}
        if doorbell is not None:
            windows[DOORBELL] = doorbell
        for slot in self.devices:
            self.line(slot)
        for slot in range(SLOTS):               # as on QEMU's board, where drivers without a device tree look at each
            device = self.devices.get(slot, EMPTY_SLOT)
            if device.size > VIRTIO_SIZE:
                raise ValueError(f"the device in slot {slot} has {device.size} bytes of registers, {VIRTIO_SIZE} at most")
            windows[VIRTIO + slot * VIRTIO_STRIDE] = device
        for address, device in windows.items():
            self.bus.map(address, device)

    def state(self) -> dict[str, Any]:
        """Of all devices but the virtio ones, which are to be saved before: completing their requests moves interrupt lines."""
        return {"uart": self.uart.state(), "rtc": self.rtc.state(), "clint": self.clint.state(), "plic": self.plic.state(),
                "doorbell": None if self.doorbell is None else self.doorbell.state()}

    def restore(self, state: dict[str, Any], own_time: bool) -> None:
        """When the harts have been restored. own_time: the clock goes on from where it was, not with the host's."""
        self.plic.restore(state["plic"])        # first: it has the lines as they were, so that devices' lines are no new requests
        self.clint.restore(state["clint"])
        self.uart.restore(state["uart"])
        self.rtc.restore(state["rtc"], own_time)
        if self.doorbell is not None and state["doorbell"] is not None:
            self.doorbell.restore(state["doorbell"])

    def tree(self, initrd: tuple[int, int] | None = None) -> bytes:
        """The device tree as a blob; `initrd` is where it begins and ends in physical memory."""
        # Handles: 1 to the number of harts are their interrupt controllers, then the harts, then the PLIC and the finisher.
        count = len(self.harts)
        handles = range(1, count + 1)
        plic, finisher = 2 * count + 1, 2 * count + 2
        return device_tree.blob({
            "#address-cells": 2, "#size-cells": 2,
            "compatible": "riscv-virtio", "model": "riscv-virtio,dragoman",
            "chosen": self._chosen(initrd),
            f"memory@{self.ram.base:x}": {"device_type": "memory", "reg": cells(self.ram.base, self.ram.size)},
            "cpus": {
                "#address-cells": 1, "#size-cells": 0, "timebase-frequency": TIME_BASE,
                **{f"cpu@{hart:x}": self._cpu(hart, count + 1 + hart, handle) for hart, handle in enumerate(handles)},
                "cpu-map": {"cluster0": {f"core{hart}": {"cpu": count + 1 + hart} for hart in range(count)}},
            },
            "soc": {
                "#address-cells": 2, "#size-cells": 2, "compatible": "simple-bus", "ranges": None,
                f"test@{FINISHER:x}": {"compatible": ("sifive,test1", "sifive,test0", "syscon"),
                                       "reg": cells(FINISHER, self.finisher.size), "phandle": finisher},
                f"rtc@{RTC:x}": {"compatible": "google,goldfish-rtc", "reg": cells(RTC, self.rtc.size),
                                 "interrupts": RTC_SOURCE, "interrupt-parent": plic},
                f"clint@{CLINT:x}": {"compatible": ("sifive,clint0", "riscv,clint0"), "reg": cells(CLINT, self.clint.size),
                                     "interrupts-extended": [n for handle in handles for n in (handle, M_SOFTWARE, handle, M_TIMER)]},
                f"plic@{PLIC:x}": {"compatible": ("sifive,plic-1.0.0", "riscv,plic0"), "reg": cells(PLIC, self.plic.size),
                                   "#address-cells": 0, "#interrupt-cells": 1, "interrupt-controller": None, "riscv,ndev": SOURCES,
                                   "interrupts-extended": [n for handle in handles for n in (handle, M_EXTERNAL, handle, S_EXTERNAL)],
                                   "phandle": plic},
                f"serial@{UART:x}": {"compatible": "ns16550a", "reg": cells(UART, self.uart.size), "clock-frequency": UART_CLOCK,
                                     "interrupts": UART_SOURCE, "interrupt-parent": plic},
                **{f"virtio_mmio@{VIRTIO + slot * VIRTIO_STRIDE:x}": {
                    "compatible": "virtio,mmio", "reg": cells(VIRTIO + slot * VIRTIO_STRIDE, VIRTIO_SIZE),
                    "interrupts": VIRTIO_SOURCE + slot, "interrupt-parent": plic} for slot in sorted(self.devices)},
                **self._doorbell(plic),
            },
            "poweroff": {"compatible": "syscon-poweroff", "regmap": finisher, "offset": 0, "value": PASS},
            "reboot": {"compatible": "syscon-reboot", "regmap": finisher, "offset": 0, "value": RESET},
        })

    def _doorbell(self, plic: int) -> dict[str, Any]:
        """Its node: registers, and the shared memory."""
        bell = self.doorbell
        return {} if bell is None else {f"doorbell@{DOORBELL:x}": {
            "compatible": "dragoman,doorbell", "reg": [*cells(DOORBELL, bell.size), *cells(bell.place, bell.shared.length)],
            "interrupts": DOORBELL_SOURCE, "interrupt-parent": plic}}

    def _chosen(self, initrd: tuple[int, int] | None) -> dict[str, Any]:
        seed = os.urandom(32) if self.options.seed is None else self.options.seed
        chosen: dict[str, Any] = {"stdout-path": f"/soc/serial@{UART:x}", "rng-seed": seed}
        if self.options.bootargs:
            chosen["bootargs"] = self.options.bootargs
        if initrd:
            chosen |= {"linux,initrd-start": cells(initrd[0]), "linux,initrd-end": cells(initrd[1])}
        return chosen

    def _cpu(self, hart: int, handle: int, controller: int) -> dict[str, Any]:
        """Node of a hart (Linux, bindings/riscv/cpus.yaml and extensions.yaml), with the ISA in the old form and the new."""
        names = list(self.options.extensions)
        letters, long_names = "".join(n for n in names if len(n) == 1), [n for n in names if len(n) > 1]
        return {
            "device_type": "cpu", "compatible": "riscv", "reg": hart, "status": "okay", "phandle": handle,
            "riscv,isa": "_".join([f"rv64{letters}", *long_names]),
            "riscv,isa-base": "rv64i", "riscv,isa-extensions": tuple(names),
            "mmu-type": f"riscv,{self.options.mmu}",
            "interrupt-controller": {"compatible": "riscv,cpu-intc", "#interrupt-cells": 1, "interrupt-controller": None,
                                     "phandle": controller},
        }
