"""What each request of a gdb client does to a target, as a table: requests and answers are contents of packets.

Source: Debugging with GDB, appendix E. A target stops and goes on as a whole (all-stop mode); what it is, is in target.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dragoman.runtime.gdb.protocol import MOST, Malformed, cut, escape, from_hex, number, numbers, to_hex
from dragoman.runtime.gdb.target import CONTINUE, ENDS, EVENTS, KINDS, NOBODY, STEP, Action, Stop, Target

INTERRUPTED, TRAPPED = 2, 5     # gdb's numbers of SIGINT and SIGTRAP
NOT_NOW = 16                    # error number
WORDS = {"software": "swbreak", "hardware": "hwbreak"}              # in stop replies, for clients that know them
_ACTIONS = {b"c": CONTINUE, b"C": CONTINUE, b"s": STEP, b"S": STEP, b"r": STEP}
_POINTS = (b"0", b"1", b"2", b"3", b"4")
LISTED = 256                    # threads that an answer names
Answer = bytes | None


class Session:
    """One client's. `answer` gives the answer to a request, None: it comes later (`stopped`), or never."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.stop: Stop | None = None                   # None while the target runs
        self.acknowledges = True
        self.ended = False                              # by the client
        self._general = 0                               # thread of Hg; 0: the one that stopped
        self._known: frozenset[bytes] = frozenset()     # features of the client
        self._unlisted: list[int] = []                  # threads of a list that the client has begun to read

    def answer(self, request: bytes) -> Answer:
        """Nothing that a client sends raises anything."""
        try:
            if self.stop is None and request[:1] not in (b"k", b"D"):
                raise Malformed(NOT_NOW)
            command = _COMMANDS.get(request[:1])
            return command(self, request[1:]) if command is not None else b""
        except Malformed as problem:
            return b"E%02x" % problem.number

    def knows(self, feature: bytes) -> bool:
        return feature in self._known

    def stopped(self, stop: Stop) -> bytes:
        """The target has stopped: what to tell the client."""
        target = self.target
        self.stop, self._general = stop, stop.thread
        if stop.kind == NOBODY:
            return b"N"
        if stop.kind in ENDS:
            self._general = 0
            self.ended = not target.threads()
            process = b";process:%x" % stop.address if self.knows(b"multiprocess") else b""
            return b"%s%02x%s" % (ENDS[stop.kind], stop.signal, process)
        word = WORDS.get(stop.kind, "")
        reason = b""
        if word and self.knows(word.encode()):
            reason = b"%s:;" % word.encode()
        elif stop.kind in EVENTS:
            reason = b"%s:%s;" % (stop.kind.encode(), target.name_of(stop.address) if stop.address else to_hex(stop.text))
        elif stop.kind and not word:
            reason = b"%s:%x;" % (stop.kind.encode(), stop.address)
        return b"T%02x%sthread:%s;" % (stop.signal, reason, target.name_of(stop.thread))

    def _thread(self, text: bytes) -> int:
        """A thread that there is; the first of several. Raises Malformed."""
        return self.target.named(text)[0]

    @property
    def _selected(self) -> int:
        assert self.stop is not None
        return self._general or self.stop.thread or next(iter(self.target.threads()), 0)

    # --- why, who
    def why(self, rest: bytes) -> Answer:
        assert self.stop is not None
        return self.stopped(self.stop)

    def select(self, rest: bytes) -> Answer:
        """H: g for registers and memory; c, for requests that are older than vCont, is not needed."""
        operation, thread = rest[:1], rest[1:]
        if operation not in (b"g", b"c"):
            raise Malformed
        chosen = 0 if thread in (b"0", b"-1") or (operation == b"c" and thread[:1] == b"p") else self._thread(thread)
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
        if rest[:1] not in _POINTS:
            return b""
        self.target.insert(self._selected, *self._point(rest))
        return b"OK"

    def remove(self, rest: bytes) -> Answer:
        if rest[:1] not in _POINTS:
            return b""
        self.target.remove(self._selected, *self._point(rest))
        return b"OK"

    def _resume(self, actions: dict[int, Action]) -> Answer:
        if not actions:
            raise Malformed
        self.stop = None
        self.target.resume(actions)
        return None

    def _action(self, text: bytes) -> Action:
        """Of vCont. Raises Malformed."""
        kind, detail = _ACTIONS.get(text[:1]), text[1:]
        if kind is None or (detail and text[:1] in b"cs") or (text[:1] == b"r" and not self.target.ranges):
            raise Malformed
        if text[:1] == b"r":
            return Action(kind, 0, *numbers(detail, 2))
        return Action(kind, number(detail) if text[:1] in b"CS" else 0)

    def resume(self, rest: bytes) -> Answer:
        """vCont: for each thread the first action that names it, or no thread."""
        actions: dict[int, Action] = {}
        for part in rest.split(b";"):
            text, colon, thread = part.partition(b":")
            action = self._action(text)
            for each in self.target.named(thread) if colon else self.target.threads():
                actions.setdefault(each, action)
        return self._resume(actions)

    def _all(self, kind: str, address: bytes, signal: int = 0) -> Answer:
        """c and s, with an address to go on at: the selected thread does it, the others go on."""
        selected = self._selected
        if address:
            self.target.set_pc(selected, number(address))
        return self._resume({thread: Action(kind, signal) if thread == selected else Action(CONTINUE) for thread in self.target.threads()})

    def go(self, rest: bytes) -> Answer:
        return self._all(CONTINUE, rest)

    def step(self, rest: bytes) -> Answer:
        return self._all(STEP, rest)

    def go_with_signal(self, rest: bytes) -> Answer:
        signal, _, address = rest.partition(b";")
        return self._all(CONTINUE, address, number(signal))

    def step_with_signal(self, rest: bytes) -> Answer:
        signal, _, address = rest.partition(b";")
        return self._all(STEP, address, number(signal))

    def detach(self, rest: bytes) -> Answer:
        """D, or D;process."""
        self.ended = self.target.detach(number(rest[1:]) if rest[:1] == b";" else 0)
        return b"OK"

    def kill(self, rest: bytes) -> Answer:
        self.ended = self.target.kill(number(rest) if rest else 0)
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
        self.target.told(self._known)
        return (b"PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+" % MOST
                + b"".join(b";%s+" % feature for feature in self.target.supported))

    def no_acknowledges(self, rest: bytes) -> Answer:
        self.acknowledges = False
        return b"OK"

    def current(self, rest: bytes) -> Answer:
        return b"QC" + self.target.name_of(self._selected)

    def attached(self, rest: bytes) -> Answer:
        return b"%d" % self.target.attached

    def first_threads(self, rest: bytes) -> Answer:
        self._unlisted = list(self.target.threads())
        return self.more_threads(rest)

    def more_threads(self, rest: bytes) -> Answer:
        part, self._unlisted = self._unlisted[:LISTED], self._unlisted[LISTED:]
        return b"m" + b",".join(map(self.target.name_of, part)) if part else b"l"

    def thread_text(self, rest: bytes) -> Answer:
        return to_hex(self.target.describe(self._thread(rest)).encode())

    def read_object(self, rest: bytes) -> Answer:
        """qXfer:object:read:annex:offset,size."""
        name, _, place = rest.partition(b":read:")
        annex, colon, span = place.rpartition(b":")
        if not colon or (name != b"features" and b"qXfer:%s:read" % name not in self.target.supported):
            return b""
        offset, size = numbers(span, 2)
        file = self.target.features.get(annex) if name == b"features" else self.target.transfer(self._selected, name, annex)
        if file is None or offset > len(file):
            raise Malformed
        data = file[offset:offset + min(size, MOST // 2)]
        return (b"m" if offset + len(data) < len(file) else b"l") + escape(data)

    def file(self, rest: bytes) -> Answer:
        """vFile: the target's files (gdb, appendix E.8)."""
        return self.target.file(self._selected, rest)

    def pass_signals(self, rest: bytes) -> Answer:
        self.target.pass_signals(frozenset(number(part) for part in rest.split(b";") if part))
        return b"OK"

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
    b"Supported": Session.supported, b"C": Session.current, b"Attached": Session.attached,
    b"fThreadInfo": Session.first_threads, b"sThreadInfo": Session.more_threads, b"ThreadExtraInfo": Session.thread_text,
    b"Xfer": Session.read_object, b"Rcmd": Session.monitor,
}
_SETTINGS: dict[bytes, Callable[[Session, bytes], Answer]] = {
    b"StartNoAckMode": Session.no_acknowledges, b"PassSignals": Session.pass_signals,
}
# vMustReplyEmpty is not here: the answer to what is not known is nothing.
_VERBOSE: dict[bytes, Callable[[Session, bytes], Answer]] = {
    b"Cont": Session.resume, b"Kill": Session.kill_process, b"File": Session.file,
    b"Cont?": lambda session, rest: b"vCont;c;C;s;S" + (b";r" if session.target.ranges else b""),
}
