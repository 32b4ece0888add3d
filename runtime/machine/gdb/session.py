"""What each request of a gdb client does to a target, as a table: requests and answers are contents of packets.

Source: Debugging with GDB, appendix E. Threads are numbered from 1; a target stops and goes on as a whole (all-stop mode).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from dragoman.runtime.machine.gdb.protocol import MOST, Malformed, cut, escape, from_hex, number, numbers, to_hex

INTERRUPTED, TRAPPED = 2, 5     # gdb's numbers of SIGINT and SIGTRAP
CONTINUE, STEP = "continue", "step"
NO_MEMORY, NOT_NOW = 14, 16     # error numbers
KINDS = ("software", "hardware", "watch", "rwatch", "awatch")       # Z0 to Z4
WORDS = {"software": "swbreak", "hardware": "hwbreak"}              # in stop replies, for clients that know them
_ACTIONS = {b"c": CONTINUE, b"C": CONTINUE, b"s": STEP, b"S": STEP}
Answer = bytes | None


class Stop(NamedTuple):
    """Why a target has stopped. kind: one of KINDS, with the address of the data for those that watch; empty: a step or an interrupt."""
    thread: int
    signal: int = TRAPPED
    kind: str = ""
    address: int = 0


class Target(Protocol):
    """What is debugged. All may raise Malformed for what cannot be."""

    features: Mapping[bytes, bytes]                     # files of the target description by name

    def threads(self) -> Sequence[int]: ...
    def describe(self, thread: int) -> str: ...
    def read_register(self, thread: int, register: int) -> bytes: ...
    def write_register(self, thread: int, register: int, data: bytes) -> None: ...
    def set_pc(self, thread: int, address: int) -> None: ...
    def read_registers(self, thread: int) -> bytes: ...
    def write_registers(self, thread: int, data: bytes) -> None: ...
    def read_memory(self, thread: int, address: int, size: int) -> bytes: ...
    def write_memory(self, thread: int, address: int, data: bytes) -> None: ...
    def insert(self, kind: str, address: int, size: int) -> None: ...
    def remove(self, kind: str, address: int, size: int) -> None: ...
    def resume(self, actions: Mapping[int, str]) -> None: ...
    def monitor(self, thread: int, text: str) -> str: ...
    def detach(self) -> None: ...
    def kill(self) -> None: ...


class Session:
    """One client's. `answer` gives the answer to a request, None: it comes later (`stopped`), or never."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.stop: Stop | None = None                   # None while the target runs
        self.acknowledges = True
        self.ended = False                              # by the client
        self._general = 0                               # thread of Hg; 0: the one that stopped
        self._known: frozenset[bytes] = frozenset()     # features of the client

    def answer(self, request: bytes) -> Answer:
        """Nothing that a client sends raises anything."""
        try:
            if self.stop is None and request[:1] not in (b"k", b"D"):
                raise Malformed(NOT_NOW)
            command = _COMMANDS.get(request[:1])
            return command(self, request[1:]) if command is not None else b""
        except Malformed as problem:
            return b"E%02x" % problem.number

    def stopped(self, stop: Stop) -> bytes:
        """The target has stopped: what to tell the client."""
        self.stop, self._general = stop, stop.thread
        word = WORDS.get(stop.kind, "")
        reason = b""
        if word and word.encode() in self._known:
            reason = b"%s:;" % word.encode()
        elif stop.kind and not word:
            reason = b"%s:%x;" % (stop.kind.encode(), stop.address)
        return b"T%02x%sthread:%x;" % (stop.signal, reason, stop.thread)

    def _thread(self, text: bytes) -> int:
        """A thread that there is. Raises Malformed."""
        thread = number(text)
        if thread not in self.target.threads():
            raise Malformed
        return thread

    @property
    def _selected(self) -> int:
        assert self.stop is not None
        return self._general or self.stop.thread

    # --- why, who
    def why(self, rest: bytes) -> Answer:
        assert self.stop is not None
        return self.stopped(self.stop)

    def select(self, rest: bytes) -> Answer:
        """H: g for registers and memory; c, for requests that are older than vCont, is not needed."""
        operation, thread = rest[:1], rest[1:]
        if operation not in (b"g", b"c"):
            raise Malformed
        chosen = 0 if thread in (b"0", b"-1") else self._thread(thread)
        if operation == b"g":
            self._general = chosen
        return b"OK"

    def alive(self, rest: bytes) -> Answer:
        self._thread(rest)
        return b"OK"

    # --- registers
    def read_all(self, rest: bytes) -> Answer:
        return to_hex(self.target.read_registers(self._selected))

    def write_all(self, rest: bytes) -> Answer:
        self.target.write_registers(self._selected, from_hex(rest))
        return b"OK"

    def read_one(self, rest: bytes) -> Answer:
        return to_hex(self.target.read_register(self._selected, number(rest)))

    def write_one(self, rest: bytes) -> Answer:
        register, value = cut(rest, b"=")
        self.target.write_register(self._selected, number(register), from_hex(value))
        return b"OK"

    # --- memory
    def read_memory(self, rest: bytes) -> Answer:
        address, size = numbers(rest, 2)
        return to_hex(self.target.read_memory(self._selected, address, min(size, MOST // 2)) if size else b"")

    def _write(self, rest: bytes, decode: Callable[[bytes], bytes]) -> Answer:
        place, content = cut(rest, b":")
        address, size = numbers(place, 2)
        data = decode(content)
        if len(data) != size:
            raise Malformed
        if data:
            self.target.write_memory(self._selected, address, data)
        return b"OK"

    def write_hex(self, rest: bytes) -> Answer:
        return self._write(rest, from_hex)

    def write_binary(self, rest: bytes) -> Answer:
        return self._write(rest, bytes)

    # --- stopping and going on
    def _point(self, rest: bytes) -> tuple[str, int, int]:
        kind, address, size = numbers(rest.partition(b";")[0], 3)
        if kind >= len(KINDS):
            raise Malformed
        return KINDS[kind], address, size

    def insert(self, rest: bytes) -> Answer:
        if rest[:1] not in (b"0", b"1", b"2", b"3", b"4"):
            return b""
        self.target.insert(*self._point(rest))
        return b"OK"

    def remove(self, rest: bytes) -> Answer:
        if rest[:1] not in (b"0", b"1", b"2", b"3", b"4"):
            return b""
        self.target.remove(*self._point(rest))
        return b"OK"

    def _resume(self, actions: dict[int, str]) -> Answer:
        if not actions:
            raise Malformed
        self.stop = None
        self.target.resume(actions)
        return None

    def resume(self, rest: bytes) -> Answer:
        """vCont: for each thread the first action that names it, or no thread."""
        actions: dict[int, str] = {}
        for part in rest.split(b";"):
            text, colon, thread = part.partition(b":")
            action = _ACTIONS.get(text[:1])
            if action is None or (len(text) > 1 and text[:1] in b"cs"):
                raise Malformed
            named = self.target.threads() if not colon or thread == b"-1" else [self._thread(thread)]
            for each in named:
                actions.setdefault(each, action)
        return self._resume(actions)

    def _all(self, action: str, address: bytes) -> Answer:
        """c and s, with an address to go on at: the selected thread does it, the others go on."""
        selected = self._selected
        if address:
            self.target.set_pc(selected, number(address))
        return self._resume({thread: action if thread == selected else CONTINUE for thread in self.target.threads()})

    def go(self, rest: bytes) -> Answer:
        return self._all(CONTINUE, rest)

    def step(self, rest: bytes) -> Answer:
        return self._all(STEP, rest)

    def go_with_signal(self, rest: bytes) -> Answer:
        """A machine takes no signals: as without."""
        return self._all(CONTINUE, rest.partition(b";")[2])

    def step_with_signal(self, rest: bytes) -> Answer:
        return self._all(STEP, rest.partition(b";")[2])

    def detach(self, rest: bytes) -> Answer:
        self.ended = True
        self.target.detach()
        return b"OK"

    def kill(self, rest: bytes) -> Answer:
        self.ended = True
        self.target.kill()
        return None

    # --- named requests
    def query(self, rest: bytes) -> Answer:
        return self._named(_QUERIES, rest)

    def set(self, rest: bytes) -> Answer:
        return self._named(_SETTINGS, rest)

    def verbose(self, rest: bytes) -> Answer:
        return self._named(_VERBOSE, rest)

    def _named(self, table: Mapping[bytes, Callable[[Session, bytes], Answer]], rest: bytes) -> Answer:
        """The name ends before a comma, colon or semicolon. What is not known is answered by nothing."""
        end = next((at for at, byte in enumerate(rest) if byte in b",:;"), len(rest))
        command = table.get(rest[:end])
        return command(self, rest[end + 1:]) if command is not None else b""

    def supported(self, rest: bytes) -> Answer:
        self._known = frozenset(part[:-1] for part in rest.split(b";") if part.endswith(b"+"))
        return b"PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+" % MOST

    def no_acknowledges(self, rest: bytes) -> Answer:
        self.acknowledges = False
        return b"OK"

    def current(self, rest: bytes) -> Answer:
        return b"QC%x" % self._selected

    def first_threads(self, rest: bytes) -> Answer:
        return b"m" + b",".join(b"%x" % thread for thread in self.target.threads())

    def thread_text(self, rest: bytes) -> Answer:
        return to_hex(self.target.describe(self._thread(rest)).encode())

    def read_object(self, rest: bytes) -> Answer:
        """qXfer: the target description is all that there is."""
        place, span = rest.rpartition(b":")[::2]
        if not place.startswith(b"features:read:"):
            return b""
        file = self.target.features.get(place.removeprefix(b"features:read:"))
        offset, size = numbers(span, 2)
        if file is None or offset > len(file):
            raise Malformed
        data = file[offset:offset + min(size, MOST // 2)]
        return (b"m" if offset + len(data) < len(file) else b"l") + escape(data)

    def monitor(self, rest: bytes) -> Answer:
        text = from_hex(rest).decode(errors="replace")
        return to_hex(self.target.monitor(self._selected, text).encode(errors="replace")) or b"OK"

    def kill_process(self, rest: bytes) -> Answer:
        self.kill(rest)
        return b"OK"


_COMMANDS: dict[bytes, Callable[[Session, bytes], Answer]] = {
    b"?": Session.why, b"H": Session.select, b"T": Session.alive,
    b"g": Session.read_all, b"G": Session.write_all, b"p": Session.read_one, b"P": Session.write_one,
    b"m": Session.read_memory, b"M": Session.write_hex, b"X": Session.write_binary,
    b"Z": Session.insert, b"z": Session.remove,
    b"c": Session.go, b"s": Session.step, b"C": Session.go_with_signal, b"S": Session.step_with_signal,
    b"D": Session.detach, b"k": Session.kill,
    b"q": Session.query, b"Q": Session.set, b"v": Session.verbose,
}
_QUERIES: dict[bytes, Callable[[Session, bytes], Answer]] = {
    b"Supported": Session.supported, b"C": Session.current, b"Attached": lambda session, rest: b"1",
    b"fThreadInfo": Session.first_threads, b"sThreadInfo": lambda session, rest: b"l", b"ThreadExtraInfo": Session.thread_text,
    b"Xfer": Session.read_object, b"Rcmd": Session.monitor,
}
_SETTINGS: dict[bytes, Callable[[Session, bytes], Answer]] = {b"StartNoAckMode": Session.no_acknowledges}
# vMustReplyEmpty is not here: the answer to what is not known is nothing.
_VERBOSE: dict[bytes, Callable[[Session, bytes], Answer]] = {
    b"Cont": Session.resume, b"Cont?": lambda session, rest: b"vCont;c;C;s;S", b"Kill": Session.kill_process,
}
