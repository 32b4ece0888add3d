"""Guest processes as a gdb session sees them: threads by their tid, each in some process, asked by messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dragoman.runtime.gdb.protocol import Malformed, number
from dragoman.runtime.gdb.riscv_registers import OF_PROGRAMS, description, parts_of
from dragoman.runtime.gdb.target import Action, Stop, Target
from dragoman.runtime.process.gdb.link import GONE, Peer
from dragoman.runtime.process.gdb.numbers import from_gdb

SIGINT = 2
ALL = (b"-1", b"0")
FEATURES = {b"target.xml": description(OF_PROGRAMS, "GNU/Linux")}


class ProcessesTarget(Target):
    """`peers` are the processes under the debugger; the hub adds and takes away."""

    features: Mapping[bytes, bytes] = FEATURES
    supported = (b"multiprocess", b"fork-events", b"vfork-events", b"exec-events", b"no-resumed", b"QPassSignals", b"qXfer:auxv:read",
                 b"qXfer:exec-file:read", b"qXfer:siginfo:read", b"qXfer:threads:read")
    ranges: bool = True
    attached: bool = False

    def __init__(self) -> None:
        self.peers: dict[int, Peer] = {}
        self.multiprocess = True                        # the client names processes
        self.actions: Mapping[int, Action] = {}         # as the client wanted it last
        self._threads: dict[int, tuple[int, str]] = {}  # tid: process, name
        self._passed: list[int] = []

    def add(self, peer: Peer) -> None:
        self.peers[peer.process] = peer
        if self._passed:
            peer.request("pass_signals", self._passed)

    def told(self, features: frozenset[bytes]) -> None:
        self.multiprocess = b"multiprocess" in features

    def look(self) -> None:
        """Which threads there are, now that all hold still."""
        self._threads = {}
        for peer in list(self.peers.values()):
            try:
                for tid, name in peer.request("threads"):
                    self._threads[tid] = peer.process, name
            except Malformed:
                continue                                # it is gone: the hub will see it

    def _peer(self, thread: int) -> Peer:
        process, _ = self._threads.get(thread, (0, ""))
        if process not in self.peers:
            raise Malformed(GONE)
        return self.peers[process]

    # --- names of threads
    def threads(self) -> Sequence[int]:
        return [thread for thread, (process, _) in self._threads.items() if process in self.peers]

    def describe(self, thread: int) -> str:
        self._peer(thread)
        return self._threads[thread][1]

    def name_of(self, thread: int) -> bytes:
        process, _ = self._threads.get(thread, (thread, ""))
        return b"p%x.%x" % (process, thread) if self.multiprocess else b"%x" % thread

    def named(self, text: bytes) -> Sequence[int]:
        process, thread = 0, text
        if text[:1] == b"p":
            part, _, rest = text[1:].partition(b".")
            process, thread = 0 if part in ALL else number(part), rest or b"-1"
        wanted = None if thread in ALL else number(thread)
        found = [each for each in self.threads() if wanted in (None, each) and process in (0, self._threads[each][0])]
        if not found:
            raise Malformed(GONE)
        return found

    # --- registers, memory, points
    def read_register(self, thread: int, register: int) -> bytes:
        found: bytes = self._peer(thread).request("register", thread, register)
        return found

    def write_register(self, thread: int, register: int, data: bytes) -> None:
        self._peer(thread).request("set_register", thread, register, data)

    def set_pc(self, thread: int, address: int) -> None:
        self._peer(thread).request("set_pc", thread, address)

    def read_registers(self, thread: int) -> bytes:
        found: bytes = self._peer(thread).request("registers", thread)
        return found

    def write_registers(self, thread: int, data: bytes) -> None:
        """Of all that come before the end of the data; none, if that is not between two."""
        for register, part in parts_of(OF_PROGRAMS, data):
            self.write_register(thread, register, part)

    def read_memory(self, thread: int, address: int, size: int) -> bytes:
        found: bytes = self._peer(thread).request("read", address, size)
        return found

    def write_memory(self, thread: int, address: int, data: bytes) -> None:
        self._peer(thread).request("write", address, data)

    def insert(self, thread: int, kind: str, address: int, size: int) -> None:
        self._peer(thread).request("insert", kind, address, size)

    def remove(self, thread: int, kind: str, address: int, size: int) -> None:
        self._peer(thread).request("remove", kind, address, size)

    def transfer(self, thread: int, name: bytes, annex: bytes) -> bytes | None:
        if name == b"threads":
            return self._list()
        peer = self._peer(thread)
        if name == b"exec-file" and annex:
            process = number(annex)
            if process not in self.peers:
                raise Malformed(GONE)
            peer = self.peers[process]
        found: bytes = peer.request("object", name.decode(), thread)
        return found

    def _list(self) -> bytes:
        """Threads with their names, which are the guest's to choose (gdb, appendix E.14)."""
        rows = [b"<threads>\n"]
        for thread in self.threads():
            text = "".join(char if char.isalnum() or char in " -_.:/()[]+" else f"&#{ord(char)};" if char >= " " else "?"
                           for char in self._threads[thread][1])
            rows.append(b'<thread id="%s" name="%s"/>\n' % (self.name_of(thread), text.encode("ascii", "xmlcharrefreplace")))
        return b"".join([*rows, b"</threads>\n"])

    def file(self, thread: int, request: bytes) -> bytes:
        found: bytes = self._peer(thread).request("file", request)
        return found

    def monitor(self, thread: int, text: str) -> str:
        return "A process has no monitor commands.\n"

    # --- going on, ends
    def resume(self, actions: Mapping[int, Action]) -> None:
        self.actions = actions
        of_peers: dict[int, dict[int, tuple]] = {}
        for thread, action in actions.items():
            process, _ = self._threads.get(thread, (0, ""))
            of_peers.setdefault(process, {})[thread] = tuple(action)
        for process, peer in list(self.peers.items()):
            if process in of_peers:
                peer.running = True
                if not peer.events:                     # else it has stopped already, and that has not been told
                    try:
                        peer.request("resume", of_peers[process])
                    except Malformed:
                        continue                        # it is gone: the hub will see it

    def let_go(self, peer: Peer) -> None:
        """It goes on without debugger."""
        self.peers.pop(peer.process, None)
        try:
            peer.request("detach")
        except Malformed:
            pass                                        # it is gone
        peer.close()

    def detach(self, process: int) -> bool:
        for peer in self._of(process):
            self.let_go(peer)
        return not self.peers

    def kill(self, process: int) -> bool:
        for peer in self._of(process):
            del self.peers[peer.process]
            try:
                peer.request("kill")
            except Malformed:
                pass                                    # the answer does not come
            peer.close()
        return not self.peers

    def _of(self, process: int) -> list[Peer]:
        """Those meant; 0: all. Raises Malformed."""
        if not process:
            return list(self.peers.values())
        if process not in self.peers:
            raise Malformed(GONE)
        return [self.peers[process]]

    def pass_signals(self, signals: frozenset[int]) -> None:
        self._passed = [there for there in map(from_gdb, sorted(signals)) if there]
        for peer in self.peers.values():
            peer.request("pass_signals", self._passed)

    def halt_all(self) -> None:
        """All processes hold still."""
        for peer in list(self.peers.values()):
            if peer.running:
                peer.running = False
                try:
                    peer.request("halt")
                except Malformed:
                    continue                            # it is gone: the hub will see it

    def interrupted(self) -> Stop:
        """The client wants all to stop, and they do."""
        self.halt_all()
        self.look()
        running = [thread for thread in self.actions if thread in self.threads()] or self.threads()
        return Stop(running[0] if running else 0, SIGINT)
