"""The virtio devices that a machine's options ask for, in the order of their slots: disks, network, shares, and what all have."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from dragoman.runtime.machine.options import MachineError
from dragoman.runtime.machine.virtio.balloon import Balloon
from dragoman.runtime.machine.virtio.console import VirtioConsole
from dragoman.runtime.machine.virtio.device import VirtioDevice
from dragoman.runtime.machine.virtio.doorbell import Doorbell
from dragoman.runtime.machine.virtio.entropy import Entropy
from dragoman.runtime.machine.virtio.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.runtime.machine.device import InterruptLine
    from dragoman.runtime.machine.machine import Machine
    from dragoman.runtime.machine.network.stack import Network

MAC = bytes.fromhex("525400123456")     # locally administered; the network has one guest


def complain(message: str) -> None:
    """One line on standard error, from any thread."""
    sys.stderr.write(f"dragoman: {message}\n")


class Equipment:
    """The devices of one machine. `transports` are what a board maps, by slot."""

    def __init__(self, machine: Machine) -> None:
        """Opens disks and folders, binds ports. Raises MachineError."""
        options = machine.options
        self.devices: list[VirtioDevice] = []
        self.network: Network | None = None
        self.bell: Doorbell | None = None
        try:
            self.devices += self._disks(machine)
            self.devices += self._net(machine)
            self.devices += self._shares(machine)
            self.devices += [Entropy(self._random(machine)), Balloon(machine.memory.release)]
            if options.console == "virtio":
                self.devices.append(self._console(machine))
        except Exception:
            self.close()
            raise
        self.transports: dict[int, Transport] = {}

    # Imported where there are some: a machine's start waits for it.

    @staticmethod
    def _random(machine: Machine) -> Callable[[int], bytes]:
        """Random bytes; on virtual time the same ones in each run."""
        if machine.rounds is None:
            return os.urandom
        from random import Random
        return Random(0).randbytes

    @staticmethod
    def _disks(machine: Machine) -> list[VirtioDevice]:
        if not machine.options.disks:
            return []
        from dragoman.runtime.machine.virtio.block import Block
        from dragoman.runtime.machine.virtio.overlay import open_disk
        made: list[VirtioDevice] = []
        try:
            for number, disk in enumerate(machine.options.disks):
                made.append(Block(open_disk(disk.path, disk.mode), f"disk{number}", complain, prompt=machine.rounds is not None))
        except Exception:
            for device in made:
                device.close()
            raise
        return made

    def _net(self, machine: Machine) -> list[VirtioDevice]:
        if machine.options.net is None:
            return []
        from dragoman.runtime.machine.network.options import NetworkError, parse_network
        from dragoman.runtime.machine.network.stack import Network
        from dragoman.runtime.machine.virtio.net import Net
        net = Net(MAC)
        try:
            self.network = Network(machine.events, net.receive, parse_network(machine.options.net))
        except NetworkError as error:
            raise MachineError(str(error)) from None
        net.connect(self.network)       # type: ignore[arg-type]
        return [net]

    @staticmethod
    def _shares(machine: Machine) -> list[VirtioDevice]:
        if not machine.options.shares:
            return []
        from dragoman.runtime.machine.virtio.p9 import P9
        return [P9(share.path, share.tag, not share.writable) for share in machine.options.shares]

    @staticmethod
    def _console(machine: Machine) -> VirtioConsole:
        device = VirtioConsole(machine.console.write, machine.console.read)
        machine.console.on_input = lambda: machine.events.post(device.typed)
        machine.console.on_resize = lambda columns, rows: machine.events.post(lambda: device.resize(columns, rows))
        return device

    def connect(self, machine: Machine, line: Callable[[int], InterruptLine], slots: int) -> dict[int, Transport]:
        """Give each device a slot and its interrupt line. Raises MachineError if there are too many."""
        if len(self.devices) > slots:
            raise MachineError(f"{len(self.devices)} virtio devices: the board has {slots} slots for disks, network, shares, console, "
                               "entropy and balloon")
        self.transports = {slot: Transport(device, machine.memory, line(slot), machine.events, complain)
                           for slot, device in enumerate(self.devices)}
        return self.transports

    def state(self) -> dict[str, Any]:
        """Requests that are under way are completed first, so RAM, interrupt lines and harts are to be saved behind this."""
        return {"devices": [{"id": device.device_id, **device.transport.state()} for device in self.devices],
                "network": None if self.network is None else self.network.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Behind the board's restore. Connections of the guest are reset. Raises MachineError, ValueError and their like."""
        for device, saved in zip(self.devices, state["devices"], strict=True):
            if saved["id"] != device.device_id:
                raise ValueError(f"virtio device {saved['id']} in place of {device.device_id}")
            device.transport.restore(saved)
        if self.network is not None:
            self.network.restore(state["network"])

    def doorbell(self, machine: Machine, line: InterruptLine) -> Doorbell | None:
        """The doorbell, if the machine shares memory with others."""
        if machine.shared is not None:
            self.bell = Doorbell(machine.shared, machine.memory.base + machine.memory.size, line, machine.events)
        return self.bell

    def close(self) -> None:
        """Let go of files, folders and sockets."""
        if self.bell is not None:
            self.bell.close()
        for device in self.devices:
            device.close()
        if self.network is not None:
            self.network.close()
