"""What a virtio device supplies to its transport: a device is one file with a class made from this."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dragoman.runtime.machine.virtio.queue import Chain, Queue

if TYPE_CHECKING:
    from dragoman.runtime.machine.virtio.transport import Transport

# Chains served in one go, so that a driver that never stops does not keep the machine's lock.
BATCH = 64


class VirtioDevice:
    """A device without queues and configuration. All is called with the machine's lock held."""

    device_id = 0                          # section 5
    features = 0                           # bits of the device's own that are offered
    queue_sizes: tuple[int, ...] = ()      # entries of each queue, powers of two
    transport: Transport

    # ---- to be supplied

    def config(self) -> bytes:
        """The configuration space as it is now."""
        return b""

    def write_config(self, offset: int, data: bytes) -> None:
        """The driver writes there; within config(), at any offset."""

    def on_notify(self, queue: Queue) -> None:
        """The driver made chains available in a queue."""

    def on_start(self) -> None:
        """The driver is ready: features are settled (DRIVER_OK)."""

    def on_reset(self) -> None:
        """Forget all that the driver asked for. Afterwards nothing of an old request may touch guest memory."""

    def drain(self) -> None:
        """Complete what is under way, before a queue stops or a snapshot."""

    def close(self) -> None:
        """The machine ends: let go of the host's things."""

    def state(self) -> dict[str, Any]:
        """What a snapshot keeps beyond the transport: integers, bytes, lists and dicts of them."""
        return {}

    def restore(self, state: dict[str, Any]) -> None: ...

    # ---- for the device's use

    @property
    def queues(self) -> list[Queue]:
        return self.transport.queues

    def has(self, feature: int) -> bool:
        """Whether a feature bit was negotiated."""
        return bool(self.transport.accepted >> feature & 1)

    def serve(self, queue: Queue, answer: Callable[[Chain], int | None]) -> None:
        """Pop chains; `answer` returns how many bytes it wrote, or None where the device gives the chain back later."""
        for _ in range(BATCH):
            chain = queue.pop()
            if chain is None:
                if queue.arm():
                    continue
                break
            written = answer(chain)
            if written is not None:
                queue.push(chain, written)
        else:
            self.transport.events.post(lambda: self.transport.notified(queue))
        self.transport.interrupt(queue)
