"""A guest under `auto` whose compiler the test plays: it sees each request, and answers when the test says so."""

from __future__ import annotations

import ctypes
import struct

from dragoman.dbt import compile_jobs
from dragoman.dbt.compiler_client import Answer
from dragoman.dbt.engine import Engine
from dragoman.dbt.pack import Entry, request_key
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import OFFSET, X
from dragoman.dbt.tiering import Tiering, word
from dragoman.runtime.options import RunOptions
from tests.engines.guest import EBREAK, PAGE, REGISTERS, Guest, _images, has_run_for_long, memory
from tests.isa import assemble

CODE, PAGES = 0x20_0000, 4
THRESHOLD = 3
TIMES = 3 * 997 * (THRESHOLD + 1)       # rounds of a loop that make it hot, and more


class Compiler:
    """Stands for compiler_client.Client."""

    def __init__(self) -> None:
        self.asked: list[RegionRequest] = []
        self.takes = True               # requests
        self.libraries = 0              # asked for
        self._answers: list[Answer] = []
        self._flag = ctypes.c_int32(0)
        self.mailbox = ctypes.addressof(self._flag)

    def request(self, data: bytes, heat: int, pack: object) -> bytes | None:
        if not self.takes:
            return None
        self.asked.append(RegionRequest.parse(data))
        return request_key(data)

    def library(self, kind: str) -> bytes:
        self.libraries += 1
        return b"library"

    def finished(self) -> list[Answer]:
        self._flag.value = 0
        answers, self._answers = self._answers, []
        return answers

    def after_fork(self) -> list[bytes]:
        return [b"library", *(request_key(request.pack()) for request in self.asked)]

    # --- what the test does
    def send(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._flag.value = 1

    def compile(self, request: RegionRequest) -> None:
        self.send(Answer(request_key(request.pack()), made(request)))


def made(request: RegionRequest) -> Entry:
    return Entry(compile_jobs.region(request.pack()))


class Machine(Guest):
    """One a test process, since engines have their places; `fresh` makes it as new."""

    def __init__(self) -> None:
        compile_jobs.prepare()
        self.kind, self.memory = "auto", memory()
        options = RunOptions(engine="auto", compiler="inline", threshold=THRESHOLD)
        self.engine = Engine(options, self.memory.base, _images("stencil"))
        self.cpu = self.engine.cpu()
        self.registers = (ctypes.c_char * REGISTERS.size).from_address(self.cpu.address + X)
        self._mxcsr = ctypes.c_uint32.from_address(self.cpu.address + OFFSET["mxcsr"])
        self.region_end = self.engine.control("region_end")

    def fresh(self, store: object = None) -> Machine:
        engine = self.engine
        engine.store, engine.precise, engine.shared = store, False, False
        engine._tiering = None
        self.attach()
        self.forget()
        self.tiering = engine._tiering = Tiering(engine)
        self.compiler = self.tiering.client = Compiler()
        self.tiering.judge.period = 1e-12               # how fast the host is counts for nothing
        engine.set_control("mailbox", self.compiler.mailbox)
        engine.set_control("region_end", self.region_end)
        has_run_for_long(engine, THRESHOLD)
        return self

    def load(self, text: str, at: int = CODE, changeable: bool = False) -> None:
        """Assembled code, a breakpoint behind it, in pages of its own."""
        words = [*assemble.program([line for line in text.splitlines() if line.strip()]), EBREAK]
        self.memory.protect(at, PAGES * PAGE)
        self.memory.write(at, struct.pack(f"<{len(words)}I", *words))
        self.engine.set_executable(at, at + PAGES * PAGE, changeable)

    def call(self, pc: int = CODE, **registers: int) -> list[int]:
        """Run from pc to the breakpoint with these registers (x5=...), all others 0; the registers then."""
        x = [registers.get(f"x{n}", 0) for n in range(32)]
        self.start(x, [0] * 32)
        assert self.run(pc) == "breakpoint"
        return list(self.cpu.x[:32])

    def row(self, pc: int, name: str) -> int:
        return word(self.engine.locked("find_row", pc), name).value
