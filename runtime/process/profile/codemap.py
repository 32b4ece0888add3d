"""--codemap FILE: all that is translated, as it is translated, for `dragoman perf profile`: which host code is of which guest code.

It takes the place of the log of -d (dbt/log.py): native code leaves after each translation, with a report of it. So what is told is
what was translated, whatever becomes of the guest's code and of the cache later. All processes of a guest append to one file:
messages, HEADER and content.
"""

from __future__ import annotations

import _thread
import ctypes
import json
import os
import time
from _struct import Struct

from dragoman.dbt import translation_report as layout
from dragoman.dbt.region_install import code_offset
from dragoman.dbt.state import ASK_REPORT, EXITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dragoman.dbt.region_image import RegionImage
    from dragoman.runtime.process.process import Process

# Kind; bytes of content; process, thread; nanoseconds of CLOCK_MONOTONIC when it was begun and when it was ready: time of the profile's own
HEADER = Struct("<IIIIQQ")
# Contents. BEGIN: JSON, the engine's addresses. MAPS: /proc/self/maps. UNIT: a report, HEAD and its lists. REGION: JSON, with the bytes of
# its code as hex. RECORDS: address, then records of the interpreter. EMPTIED: none, the code cache is. FORKED: JSON, the parent.
BEGIN, MAPS, UNIT, REGION, RECORDS, EMPTIED, FORKED = range(7)
HEAD = Struct("<8Q")                            # of a report: as translation_report.py has it
MISS = EXITS["miss"]
_ADDRESS = Struct("<Q")


def parts(head: tuple[int, ...]) -> list[tuple[int, int]]:
    """Offset and size of each list of a report with this head."""
    _, start, end, blocks, sites, puts, guest, _ = head
    return [(layout.BLOCKS, blocks * layout.BLOCK_SIZE), (layout.SITES, sites * layout.SITE_SIZE), (layout.PUTS, puts * layout.PUT_SIZE),
            (layout.GUEST, guest), (layout.HOST, end - start)]


class CodeMap:
    """Stands where the engine has its log (dbt/log.py), and among the hooks of engine and process (None: it is a machine's)."""

    def __init__(self, engine: Any, fd: int, path: bytes, process: Process | None = None, files: tuple[str, ...] = ()) -> None:
        """path: of the file that fd is of. files: of a machine, those that may have symbols of its guest. Raises OSError."""
        self.process, self.engine, self.fd, self.path = process, engine, fd, path
        self.gate = _thread.allocate_lock()     # held while a thread writes; a fork waits for it
        self._reports: dict[int, ctypes.Array[ctypes.c_char]] = {}      # memory by address of the CPU
        self._mapped_anew = True
        image = engine.image
        self._write(BEGIN, time.monotonic_ns(), json.dumps({
            "interpreter": not engine.control("engine"), "level": engine.options.cpu, "library": image.blobs["library"][0],
            "arena": [engine.control("stencil_start"), engine.control("region_end")], "image": [image.base, image.base + image.size],
            "memory": process.memory.base if process is not None else 0, "symbols": image.symbols, "prefix": engine.images.prefix,
            "inline": engine.inline if process is None else None, "files": files}).encode())
        engine.set_control("ask", ASK_REPORT)
        engine.flush_hooks.append(self.emptied)
        if process is not None:
            process.at_end.append(self.records)
            process.fork_hooks.append(self)

    def _write(self, kind: int, begun: int, content: bytes = b"") -> None:
        data = HEADER.pack(kind, len(content), os.getpid(), _thread.get_native_id(), begun, time.monotonic_ns()) + content
        try:
            while data:
                data = data[os.write(self.fd, data):]
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from None

    def _maps(self) -> None:
        """Where what lies, if that has changed."""
        if self._mapped_anew:
            self._mapped_anew, begun = False, time.monotonic_ns()
            with open("/proc/self/maps", "rb") as file:
                self._write(MAPS, begun, file.read())

    # --- as a log
    def attach(self, cpu: Any) -> None:
        memory = self._reports[cpu.address] = ctypes.create_string_buffer(layout.REPORT_SIZE)
        cpu.report = ctypes.addressof(memory)

    def detach(self, cpu: Any) -> None:
        self._reports.pop(cpu.address, None)

    def remapped(self) -> None:
        self._mapped_anew = True

    def promoted(self, cpu: Any) -> None:
        return

    def asked(self, request: Any) -> None:
        return

    def handle(self, cpu: Any, reason: int) -> bool:
        """An exit of native code; whether it was because something has been translated."""
        if reason != MISS:
            return False
        begun, at = time.monotonic_ns(), cpu.report
        with self.gate:
            self._maps()
            head = ctypes.string_at(at, HEAD.size)
            self._write(UNIT, begun, b"".join([head, *(ctypes.string_at(at + offset, size) for offset, size in parts(HEAD.unpack(head)))]))
        return True

    def region(self, image: RegionImage, pieces: list[tuple[int, bytes]], address: int, place: Any) -> None:
        """A region was installed: made of guest code `pieces` (pc, bytes), its own code is at `address`."""
        begun, start = time.monotonic_ns(), address - code_offset(image)
        with self.gate:
            self._maps()
            self._write(REGION, begun, json.dumps({
                "start": start, "address": address, "code": ctypes.string_at(address, len(image.code)).hex(), "entries": image.entries,
                "exits": image.exits, "sites": image.sites, "pieces": [(pc, code.hex()) for pc, code in pieces]}).encode())

    # --- hooks
    def records(self) -> None:
        """Those that the interpreter runs: their places in memory are what tells where in the guest it is."""
        if not self.engine.control("engine"):
            begun, start = time.monotonic_ns(), self.engine.control("records")
            content = ctypes.string_at(start, self.engine.control("record_cursor") - start)
            with self.gate:
                self._write(RECORDS, begun, _ADDRESS.pack(start) + content)

    def emptied(self) -> None:
        """The code cache is about to be emptied; no thread is in native code."""
        self.records()
        with self.gate:
            self._write(EMPTIED, time.monotonic_ns())

    def before(self) -> None:
        self._parent = os.getpid()

    def parent(self, thread: Any, pid: int, flags: int) -> None:
        return

    def child(self, thread: Any) -> None:
        """It has what its parent had until now."""
        self._write(FORKED, time.monotonic_ns(), json.dumps(self._parent).encode())
        assert self.process is not None
        self.process.at_end.append(self.records)

    def done_vfork(self, thread: Any) -> None:
        return


def attach(process: Process, path: bytes) -> None:
    """To a file, which may be there already. Raises OSError."""
    process.engine.log = CodeMap(process.engine, process.files.keep(_open(path)), path, process)


def of_machine(engine: Any, path: bytes, files: tuple[str, ...]) -> CodeMap:
    """For a machine's engine, before it has CPUs; `records` is to be called at its end. Raises OSError."""
    made = engine.log = CodeMap(engine, _open(path), path, files=files)
    return made


def _open(path: bytes) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
