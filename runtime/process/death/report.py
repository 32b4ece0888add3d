"""--crash-report: what can be said of a guest that dies of a signal, before it is gone. Text, for people and for issue trackers."""

from __future__ import annotations

import os
import struct
from errno import EACCES

from dragoman.dbt import listing
from dragoman.dbt.isa.riscv.registers import REGISTER_NAMES
from dragoman.runtime.process.death.areas import Mapped, mapped
from dragoman.runtime.process.death.unwind import Unwinder
from dragoman.runtime.process.linux.strace_signals import siginfo
from dragoman.runtime.process.symbols import Symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.runtime.process.process import Process
    from dragoman.runtime.process.thread import Thread

BEFORE, AFTER = 16, 16          # bytes of code around pc
HOW = {"pc": "", "cfi": "",
       "signal": "  (interrupted by a signal)", "code": "  (by the function's code)", "ra": "  (by ra)", "fp": "  (by frame pointer)"}
# Signals that do not end a process are none of its business; SIGKILL cannot be seen.
FATAL = frozenset(range(1, 65)) - {9, 17, 18, 19, 20, 21, 22, 23, 28, 32, 33}


def attach(process: Process) -> None:
    """Have the process write a report when it dies. Raises OSError where it could not: that is not to be found out then."""
    place = process.options.crash_report
    if place and (os.path.isdir(place) or not os.access(place if os.path.exists(place) else os.path.dirname(place) or b".", os.W_OK)):
        raise OSError(EACCES, "cannot be written", place)
    process.signals.catch("report", FATAL)
    process.death_hooks.append(lambda thread, number, info: report(process, thread, number, info))


def report(process: Process, thread: Thread, number: int, info: bytes) -> None:
    text = "".join(line + "\n" for line in lines(process, thread, number, info))
    place = process.options.crash_report
    data = text.encode(errors="surrogateescape")
    if not place:
        os.write(2, data)
        return
    try:
        with open(place, "wb", buffering=0) as file:
            while data:
                data = data[file.write(data):]
    except OSError as error:
        process.complain(f"--crash-report={os.fsdecode(place)}: {error.strerror}")


def lines(process: Process, thread: Thread, number: int, info: bytes) -> list[str]:
    cpu = thread.cpu
    try:
        areas = mapped(process.memory)
    except OSError:
        areas = []
    symbols = Symbols(process.memory.base)
    program = " ".join(map(os.fsdecode, process.image.arguments))
    found = [f"--- the guest dies: {siginfo(number, info)}", f"program    {program} ({os.fsdecode(process.image.path)})",
             f"process    {os.getpid()}, thread {thread.tid} of {len(process.threads)}", f"pc         {_place(cpu.pc, symbols, areas)}"]
    if info:
        address, = struct.unpack_from("<Q", info, 16)
        if number in (4, 5, 7, 8, 11) and struct.unpack_from("<i", info, 8)[0] > 0:
            found.append(f"address    {_place(address, symbols, areas)}")
    found += ["registers", *_registers(thread), "code", *_code(process, cpu.pc, symbols), "backtrace"]
    for count, frame in enumerate(Unwinder(process, areas, symbols).frames(cpu.pc, list(cpu.x[:32]))):
        found.append(f"  #{count:<2} {_place(frame.pc, symbols, areas, frame.how not in ('pc', 'signal'))}{HOW[frame.how]}")
    for other in list(process.threads.values()):
        if other is not thread:
            found.append(f"thread     {other.tid} at {_place(other.cpu.pc, symbols, areas)}")
    return [*found, "---"]


def _place(address: int, symbols: Callable[[int], str], areas: list[Mapped], behind: bool = False) -> str:
    """behind: it is behind a call, which may be the last instruction of its function."""
    area = next((area for area in areas if area.start <= address < area.end), None)
    if area is None:
        return f"{address:#018x}  not mapped"
    prot = "".join(letter if area.prot & bit else "-" for letter, bit in zip("rwx", (1, 2, 4), strict=True))
    file = f" {os.fsdecode(area.name)}+{area.offset + address - area.start:#x}" if area.name else ""
    name = symbols(address - behind)
    if name and behind:
        name, _, distance = name.rpartition("+")
        name = f"{name}+{int(distance, 0) + 1:#x}" if name else distance + "+0x1"
    return f"{address:#018x}  {name or '?'}  in {area.start:#x}-{area.end:#x} {prot}{file}"


def _registers(thread: Thread) -> list[str]:
    cpu = thread.cpu
    values = [(name, cpu.x[number]) for number, name in enumerate(REGISTER_NAMES["x"][:32])]
    values += [(name, cpu.f[number]) for number, name in enumerate(REGISTER_NAMES["f"])]
    return ["  " + "  ".join(f"{name:>4} {value:016x}" for name, value in values[start:start + 4]) for start in range(0, 64, 4)] + [
        f"  fcsr {cpu.fcsr:02x}"]


def _code(process: Process, pc: int, symbols: Callable[[int], str]) -> list[str]:
    """Instructions around pc; those before it from where decoding comes out at pc."""
    memory = process.memory
    if not memory.read_some(pc, 2):
        return ["  none there"]
    start = next((start for start in range(pc - BEFORE, pc, 2) if _meets(memory.read_some(start, pc - start + 4), start, pc)), pc)
    code, found, at = memory.read_some(start, pc - start + AFTER), [], start
    while at < start + len(code):
        part = code[at - start:at - start + 4]
        size = 4 if part[0] & 3 == 3 else 2
        if len(part) < size:
            break
        shown = part[:size][::-1].hex()
        found.append(f"  {'->' if at == pc else '  '} {at:#x}  {shown:8}  {listing.disassemble(part, at)}")
        at += size
    return found


def _meets(code: bytes, start: int, pc: int) -> bool:
    at = 0
    while start + at < pc and at < len(code):
        at += 4 if code[at] & 3 == 3 else 2
    return start + at == pc
