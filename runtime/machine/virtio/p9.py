"""The 9P transport device (virtio device 9): shares a directory of the host with the guest."""

from __future__ import annotations

import os
from typing import Any

from dragoman.runtime.machine.options import MachineError
from dragoman.runtime.machine.virtio.device import VirtioDevice
from dragoman.runtime.machine.virtio.p9_server import Server
from dragoman.runtime.machine.virtio.queue import Chain, Queue

MOUNT_TAG = 0                      # feature bit


class P9(VirtioDevice):
    """`mount_tag` is what the guest mounts. MachineError if the directory cannot be opened."""

    device_id = 9
    features = 1 << MOUNT_TAG
    queue_sizes = (128,)

    def __init__(self, path: bytes, mount_tag: str, readonly: bool = False):
        self._tag = mount_tag.encode()
        try:
            self.server = Server(path, readonly)
        except OSError as error:
            raise MachineError(f"share {os.fsdecode(path)}: {error.strerror}") from None

    def config(self) -> bytes:
        return len(self._tag).to_bytes(2, "little") + self._tag

    def on_notify(self, queue: Queue) -> None:
        self.serve(queue, self._answer)

    def _answer(self, chain: Chain) -> int:
        return self.server.answer(chain.readable, chain.writable)

    def on_reset(self) -> None:
        self.server.drop_all()

    def close(self) -> None:
        self.server.close()

    def state(self) -> dict[str, Any]:
        return self.server.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.server.restore(state)
