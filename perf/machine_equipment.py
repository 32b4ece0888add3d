"""What machines have beside a console while they are measured: a disk with known data, or a network with a server on the host."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dragoman import guests
from dragoman.perf.machine_jobs import BLOCK, MOVED, NET, PORT, Job
from dragoman.perf.workloads import WorkloadError
from dragoman.runtime.machine.kernel_modules import Modules, module_name
from dragoman.runtime.machine.options import MachineError
from dragoman.runtime.machine.root_boot import kernel_version

PAGE = 4096
_REQUEST = struct.Struct("<qq")     # bytes that the guest wants, bytes that it sends before: guests/src/transfer.c


def pattern(size: int, first: int = 0) -> bytes:
    """Bytes with their place, plus `first`, in each 4 KiB: what guests/src/transfer.c reads (0) and writes (1)."""
    return b"".join(struct.pack("<Q", place + first).ljust(min(PAGE, size - place), b"\0") for place in range(0, size, PAGE))


def places(data: bytes | bytearray) -> list[int]:
    """The words of a pattern, one of each 4 KiB."""
    return [int.from_bytes(data[place:place + 8], "little") for place in range(0, len(data), PAGE)]


def written_wrong(data: bytes | bytearray, size: int) -> str:
    """Why data is not what the guest had to write; empty if it is."""
    return "" if len(data) == size and places(data) == list(range(1, size + 1, PAGE)) else "what the guest wrote came wrong"


class Equipment:
    """Of machines that need nothing. As a context manager it is there for one run of one machine."""

    modules: tuple[str, ...] = ()
    filled: Mapping[str, str] = {}
    """Words of jobs, and what stands for them."""
    before: Sequence[Job] = ()
    """Jobs that make it ready, which are not measured."""
    dragoman: Sequence[str] = ()
    qemu: Sequence[str] = ("-net", "none")
    """Options of each."""
    failure = ""
    """What is found wrong at the end."""

    def __enter__(self) -> Equipment:
        return self

    def __exit__(self, *_: object) -> None: ...


def _job(name: str, *words: str, result: int) -> Job:
    return Job(name, "", "", guests.find("transfer").path, (name, *words), (f"{name} {result}\n".encode(), 0))


class Disk(Equipment):
    """A raw image of `size` bytes, made anew each time."""

    modules = ("virtio_mmio", "virtio_blk")

    def __init__(self, folder: Path, jobs: Sequence[Job], modules: int) -> None:
        self.path, self.size = folder / "disk", max(job.bytes for job in jobs)
        self.writes = any(job.arguments[:1] == ("write",) for job in jobs)
        self.before = [_job("load", "/modules/list", result=modules)]
        self.dragoman = ["--disk", str(self.path)]
        self.qemu = [*Equipment.qemu, "-drive", f"file={self.path},format=raw,if=none,id=disk", "-device", "virtio-blk-device,drive=disk"]

    def __enter__(self) -> Disk:
        self.path.write_bytes(pattern(self.size))
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())         # the host writes it now, and not while a machine is measured
        return self

    def __exit__(self, *_: object) -> None:
        self.failure = written_wrong(self.path.read_bytes(), self.size) if self.writes else ""
        self.path.unlink()


class Network(Equipment):
    """The user-mode network, and a server on the host's loopback that takes and sends what the guest says."""

    modules = ("virtio_mmio", "virtio_net")
    dragoman = ("--net", "user")
    qemu = ("-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net")

    def __init__(self, folder: Path, jobs: Sequence[Job], modules: int) -> None:
        self.data = pattern(max([PAGE, *(job.bytes for job in jobs)]))
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = str(self.listener.getsockname()[1])
        self.filled = {PORT: port}
        self.before = [_job("load", "/modules/list", result=modules), _job("join", PORT, result=PAGE)]

    def __enter__(self) -> Network:
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)    # ends accept()
        self.listener.close()

    def serve(self) -> None:
        """Connections, one after the other, until the listener is closed."""
        with suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                with connection, suppress(OSError):     # a machine may end at any time
                    self.answer(connection)

    def answer(self, connection: socket.socket) -> None:
        """One connection: take what is offered, then send what is wanted."""
        request = bytearray(_REQUEST.size)
        _fill(connection, memoryview(request))
        wanted, offered = _REQUEST.unpack(request)
        if not 0 <= wanted <= len(self.data) or not 0 <= offered <= max(MOVED):
            self.failure = f"the guest wants {wanted} and offers {offered} bytes"
            return
        data = bytearray(offered)
        taken = _fill(connection, memoryview(data))
        connection.sendall(memoryview(self.data)[:wanted])
        if offered:
            self.failure = self.failure or written_wrong(data[:taken], offered)


def _fill(connection: socket.socket, room: memoryview) -> int:
    """Receive into all of it; the bytes that came before the end."""
    done = 0
    while done < len(room):
        size = connection.recv_into(room[done:])
        if not size:
            break
        done += size
    return done


_KINDS: dict[str, type[Disk] | type[Network]] = {BLOCK: Disk, NET: Network}


def modules_of(kernel: Path, suite: str) -> dict[str, bytes]:
    """The modules that a suite needs, by name, in the order to load them: those beside the kernel's folder, as its package has them.
    Raises WorkloadError."""
    if suite not in _KINDS:
        return {}
    roots = [kernel.parent.parent, kernel.parent.parent / "usr"]
    root = next((root for root in roots if (root / "lib/modules").is_dir()), None)
    if root is None:
        raise WorkloadError(f"{suite.replace(' ', ':')} needs the kernel's modules in {roots[0] / 'lib/modules'} or {roots[1] / 'lib/modules'}")
    try:
        modules = Modules(root / "lib/modules" / kernel_version(kernel, root))
        return {module_name(path): modules.data(path) for path in modules.files(_KINDS[suite].modules)}
    except MachineError as error:
        raise WorkloadError(str(error)) from None


def equipment(suite: str, folder: Path, jobs: Sequence[Job], modules: int) -> Equipment:
    """What a suite's machine has for one run. `modules`: how many are loaded."""
    return _KINDS[suite](folder, jobs, modules) if suite in _KINDS else Equipment()
