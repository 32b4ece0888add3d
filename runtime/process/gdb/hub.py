"""Between gdb and the guest's processes: a process of its own, so that it outlives each of them, and nobody's child.

It hears of stops, has all other processes stop, too, and tells gdb. Forks bring it new processes; when the last one is gone or let go,
it ends. When gdb is gone, the processes go on without it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket

from dragoman.runtime.gdb.conversation import Conversation
from dragoman.runtime.gdb.protocol import Malformed
from dragoman.runtime.gdb.session import Session
from dragoman.runtime.gdb.target import NOBODY, Action, Stop
from dragoman.runtime.process.gdb.link import ENDS, Peer
from dragoman.runtime.process.gdb.target import ProcessesTarget

SIGKILL = 9
EVENT_FEATURES = {"fork": b"fork-events", "vfork": b"vfork-events", "vforkdone": b"vfork-events", "exec": b"exec-events"}


class Hub:
    """One client's session with one guest and its children."""

    def __init__(self, client: socket.socket, first: Peer) -> None:
        self.target = ProcessesTarget()
        self.session = Session(self.target)
        self.talk = Conversation(client, self.session, self._interrupt)
        first.process = first.request("begin")
        self.target.add(first)
        self.target.look()
        self.session.stop = Stop(first.process)
        self._client = client

    def run(self) -> None:
        """To the end of the session."""
        try:
            while not self.session.ended:
                self._turn()
        except OSError:
            pass                                        # the client is gone
        except Exception as error:                      # ours; the hub has no stream to say it on
            for peer in self.target.peers.values():
                with contextlib.suppress(Malformed):
                    peer.request("complain", f"internal error in -g: {type(error).__name__}: {error}; it goes on without debugger")
        for peer in list(self.target.peers.values()):
            self.target.let_go(peer)

    def _turn(self) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._client, selectors.EVENT_READ)
            for peer in self.target.peers.values():
                waiting.register(peer.socket, selectors.EVENT_READ, peer)
            pending = any(peer.running and (peer.events or peer.gone) for peer in self.target.peers.values())
            ready = waiting.select(0 if pending else None)
        for key, _ in ready:
            if key.data is not None and not key.data.gone:
                key.data.take_event()
        if self.session.stop is None:
            self._look_at_events()
        elif any(peer.gone for peer in self.target.peers.values()):
            self.target.peers = {number: peer for number, peer in self.target.peers.items() if not peer.gone}
            if not self.target.peers:
                self._tell(Stop(0, SIGKILL, "killed", self.session.stop.thread))
        if any(key.data is None for key, _ in ready) and not self.talk.receive():
            raise ConnectionError

    def _interrupt(self) -> None:
        self.talk.send(self.session.stopped(self.target.interrupted()))

    def _look_at_events(self) -> None:
        """Ends first: a parent may have met a breakpoint because it has waited for a child's, which lies in another socket."""
        for peer in sorted(self.target.peers.values(), key=lambda peer: not peer.ends):
            if peer.running and (peer.events or peer.gone):
                event = peer.events.pop(0) if peer.events else ("killed", SIGKILL, [])
                if self._take(peer, event):
                    return

    def _take(self, peer: Peer, event: tuple) -> bool:
        """Tell the client, if it is for it; False: all goes on."""
        kind, *rest, descriptors = event
        if kind in ENDS:
            del self.target.peers[peer.process]
            peer.close()
            self._tell(Stop(0, rest[0] & 0xFF, kind, peer.process))
            return True
        peer.running = False
        stop = Stop(0, 0, NOBODY) if kind == "nobody" else Stop(*rest)
        for descriptor in descriptors:
            self.target.add(Peer(socket.socket(fileno=descriptor), stop.address))
        feature = EVENT_FEATURES.get(stop.kind)
        if feature is not None and not self.session.knows(feature):
            if descriptors:
                self.target.let_go(self.target.peers[stop.address])
            peer.running = True
            peer.request("resume", {thread: tuple(Action(action.kind)) for thread, action in self.target.actions.items()})
            return False
        self._tell(stop)
        return True

    def _tell(self, stop: Stop) -> None:
        self.target.halt_all()
        self.target.look()
        self.talk.send(self.session.stopped(stop))


def serve(listener: socket.socket, end: socket.socket, path: bytes | None) -> None:
    """The hub's whole life: wait for a client, or for the end of the process that would be debugged. path: the listener's."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(listener, selectors.EVENT_READ)
        waiting.register(end, selectors.EVENT_READ)
        ready = [key.fileobj for key, _ in waiting.select()]
    if path is not None:
        with contextlib.suppress(OSError):              # somebody was faster
            os.unlink(path)
    if listener not in ready:
        return
    client = listener.accept()[0]
    listener.close()
    with client:
        end.send(b"go")
        try:
            hub = Hub(client, Peer(end))
        except (Malformed, OSError):
            return
        hub.run()
