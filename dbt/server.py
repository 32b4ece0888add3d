"""The compiler process: one for each user and engine version, made by server_start.py, ended when it has been idle.

It only passes on: requests from guests into a queue, the hottest to the worker (worker.py, where LLVM runs), results
into the store and to those who asked. So it answers at once whatever the worker does. Code is made here from guest
bytes; none is taken from a client.
"""

from __future__ import annotations

import errno
import fcntl
import marshal
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable

from dragoman.dbt import channel, server_start, trim
from dragoman.dbt.channel import Message, ProtocolError
from dragoman.dbt.job_queue import FIRST, Job, Queue
from dragoman.dbt.pack import Damaged, Entry
from dragoman.dbt.peer import Gone, Peer
from dragoman.dbt.store import Store, engine_version
from dragoman.dbt.worker import Worker

IDLE = 30.0                             # seconds without a request or a job
SILENCE = 60.0                          # seconds in which a busy worker must have used the processor
LOOK = 5.0                              # seconds, at most, between two looks at whether we are wanted
LOG_SIZE = 1 << 18
LIBRARY_AGAIN = 60.0                    # seconds until a library that could not be kept is made once more
BROKEN_FOR = 60.0                       # seconds without a try, once workers end before they are ready
_REMEMBERED = 1 << 14                   # refused requests
_TRIM = 16 << 20                        # bytes written to the store between two looks whether it is full
_TOO_MANY = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Stop(Exception):
    """It was told to end."""


class Server:
    """`serve` returns when there has been nothing to do for `idle` seconds, when it was told to stop, and when it is
    not `wanted` any more. It then tidies up with `leave` and, after that, lets the peers see the end."""

    def __init__(self, listener: socket.socket, store: Store, jobs: str, idle: float = IDLE, silence: float = SILENCE,
                 wanted: Callable[[], bool] = lambda: True, leave: Callable[[], None] = lambda: None):
        self.listener, self.store, self.jobs = listener, store, jobs
        self.idle, self.silence, self.wanted, self.leave = idle, silence, wanted, leave
        self.queue = Queue()
        self.worker: Worker | None = None
        self.peers: dict[int, Peer] = {}
        self.refused: dict[bytes, bytes] = {}           # key to reason
        self._try_again = 0.0                           # when a library that was refused is tried once more
        self._written = 0                               # bytes, since the store was looked at
        self.broken = b""                               # why no worker can be had, for a while
        self._deaths, self._mended = 0, 0.0             # of workers that were not ready, in succession; when the next one is tried
        self.counts = {"regions": 0, "libraries": 0, "refused": 0, "dropped": 0, "from_store": 0, "workers": 0}
        self.started = self.active = time.monotonic()
        self.poll = select.poll()
        self.listening = False
        self._listen(True)

    def serve(self) -> None:
        try:
            while self._step():
                pass
        except Stop:
            pass
        finally:
            if self.worker:
                self.worker.end()
            self.leave()
            for peer in self.peers.values():
                peer.close()

    # --- events
    def _step(self) -> bool:
        """Handle what has come; False when it is time to end."""
        events = self.poll.poll(self._patience() * 1000)
        for descriptor, event in events:
            if descriptor == self.listener.fileno():
                self._accept()
            elif descriptor in self.peers:
                self._serve_peer(self.peers[descriptor], event)
            elif self.worker and descriptor == self.worker.socket.fileno():
                self._hear_worker(self.worker)
        if self.worker and self.worker.stuck():
            self._worker_ended("stood still")
        self._next_job()
        if events or self._todo():
            self.active = time.monotonic()
        if not events:
            self._tell_waiting()        # that we live; or that all is done: nothing was under way either
        return time.monotonic() - self.active < self.idle and self.wanted()

    def _patience(self) -> float:
        if not self._todo() and any(peer.waits for peer in self.peers.values()):
            return 0.0
        end = self.worker.deadline if self.worker and self.worker.busy() else self.active + self.idle
        return min(LOOK, max(0.0, end - time.monotonic()) + 0.01)

    def _listen(self, on: bool) -> None:
        if on and not self.listening:
            self.poll.register(self.listener, select.POLLIN)
        elif self.listening and not on:
            self.poll.unregister(self.listener)
        self.listening = on

    def _todo(self) -> int:
        return len(self.queue) + (self.worker is not None and self.worker.job is not None)

    def _accept(self) -> None:
        try:
            peer = Peer.accept(self.listener, os.geteuid())
        except OSError as error:
            if error.errno in _TOO_MANY:
                self._listen(False)     # until one has gone: it would be told to us without end
            return                      # else it has gone already
        if peer:
            self.peers[peer.socket.fileno()] = peer
            self.poll.register(peer.socket, select.POLLIN)

    def _serve_peer(self, peer: Peer, event: int) -> None:
        try:
            if event & select.POLLOUT:
                peer.flush()
            while event & ~select.POLLOUT and (message := peer.receive()):
                self._obey(peer, message)
            self._watch(peer)
        except Gone:
            self._close(peer)

    def _watch(self, peer: Peer) -> None:
        self.poll.modify(peer.socket, select.POLLIN | (select.POLLOUT if peer.outbox else 0))

    def _close(self, peer: Peer) -> None:
        if self.peers.pop(peer.socket.fileno(), None):
            self.poll.unregister(peer.socket)
            peer.close()
            self._listen(True)

    def _tell(self, peer: Peer, kind: int, key: bytes = b"", payload: bytes = b"", number: int = 0) -> None:
        if peer.open:
            try:
                peer.send(kind, key, payload, number)
                self._watch(peer)
            except Gone:
                self._close(peer)

    def _tell_waiting(self) -> None:
        for peer in list(self.peers.values()):
            if peer.waits:
                peer.waits = self._todo() > 0
                self._tell(peer, channel.WAIT, number=self._todo())

    # --- requests
    def _obey(self, peer: Peer, message: Message) -> None:
        kind = message.kind
        if not peer.known:
            if kind != channel.HELLO or message.name.rstrip(b"\0").decode(errors="replace") != self.store.version:
                raise Gone
            peer.known = True
        elif kind == channel.REGION:
            self._ask(peer, message, message.number)
        elif kind == channel.LIBRARY:
            self._ask(peer, message, FIRST)
        elif kind == channel.STATUS:
            self._tell(peer, channel.STATUS, payload=marshal.dumps(self.status()))
        elif kind == channel.WAIT:
            peer.waits = True
            self._tell(peer, channel.WAIT, number=max(1, self._todo()))
        elif kind == channel.STOP:
            raise Stop
        else:
            raise Gone

    def _ask(self, peer: Peer, message: Message, heat: int) -> None:
        key, kind = message.key, message.kind
        pack = message.name if message.name.strip(b"\0") and self.store.folder else None
        if kind == channel.LIBRARY and key in self.refused and time.monotonic() > self._try_again:
            del self.refused[key]           # there may be room for it now
        reason = self._why_broken() or self.refused.get(key)
        if reason:
            self._tell(peer, channel.REFUSED, key, reason)
            return
        running = self.worker.job if self.worker else None
        job = running if running and running.key == key else self.queue.get(key)
        if job:
            job.heat = max(job.heat, heat)
            job.pack = job.pack or pack
            if peer not in job.waiting:
                job.waiting.append(peer)
            return
        known = self._known(message, pack)
        if known is not None:
            self.counts["from_store"] += 1
            self._tell(peer, channel.DONE, key, known)
            return
        job = Job(kind, key, message.payload, heat)
        job.pack = pack
        job.waiting.append(peer)
        for dropped in self.queue.add(job):
            self.counts["dropped"] += 1
            for other in dropped.waiting:
                self._tell(other, channel.DROPPED, dropped.key)

    def _known(self, message: Message, pack: bytes | None) -> bytes | None:
        """The answer, if another guest's request has put it into the store."""
        if message.kind == channel.LIBRARY:
            path = self.store.path(message.payload.decode(errors="replace"))
            return b"" if path and os.path.exists(path) else None
        if pack is not None:
            stored = self.store.pack_named(pack)
            stored.refresh()
            return stored.get(message.key)
        return None

    # --- work
    def _next_job(self) -> None:
        if reason := self._why_broken():
            while job := self.queue.take():
                self._turn_away(job, reason)
        if not len(self.queue) or (self.worker and self.worker.busy()):
            return
        if self.worker is None:
            self.worker = Worker(self.store.version, self.store.folder or "", self.jobs, self.silence)
            self.counts["workers"] += 1
            self.poll.register(self.worker.socket, select.POLLIN)
            return                      # until it is ready
        job = self.queue.take()
        if job:
            try:
                self.worker.give(job)
            except OSError:
                self._worker_ended("")

    def _hear_worker(self, worker: Worker) -> None:
        try:
            message = worker.take()
        except (EOFError, OSError, ProtocolError):
            self._worker_ended("")
            return
        if message is None:
            return
        job, worker.job = worker.job, None
        if message.kind == channel.READY:
            worker.ready, self._deaths = True, 0
        elif job and message.kind == channel.DONE:
            self._finish(job, message.payload)
        elif job:
            self._refuse(job, message.payload)
        if message.number:              # it has grown too large
            self._worker_ended("")
        if self._todo():
            self._tell_waiting()

    def _worker_ended(self, why: str) -> None:
        """It is dead or to be killed; so is the hope for what it worked on."""
        worker, self.worker = self.worker, None
        assert worker
        self.poll.unregister(worker.socket)
        how = worker.end()
        reason = f"the compiler {why or how}"
        if worker.job:
            self._refuse(worker.job, reason.encode())
        elif not worker.ready:
            self._log(f"{reason} before it was ready")
            self._deaths += 1
            if self._deaths > 1:        # once may be somebody else's doing
                self.broken, self._mended = reason.encode(), time.monotonic() + BROKEN_FOR

    def _why_broken(self) -> bytes:
        if self.broken and time.monotonic() > self._mended:
            self.broken = b""
        return self.broken

    def _finish(self, job: Job, payload: bytes) -> None:
        self.counts["libraries" if job.kind == channel.LIBRARY else "regions"] += 1
        if job.kind == channel.REGION:
            try:
                entry = Entry(payload)
            except Damaged as error:
                self._refuse(job, f"the compiler gave no region: {error}".encode())
                return
            if job.pack is not None and self.store.pack_named(job.pack).append(entry):
                self._written += len(payload)
                if self._written >= _TRIM and self.store.folder:
                    self._written = 0
                    trim.trim(self.store.folder)
        for peer in job.waiting:
            self._tell(peer, channel.DONE, job.key, payload)

    def _refuse(self, job: Job, reason: bytes) -> None:
        self._log(f"refused {job.key.hex()}: {reason.decode(errors='replace')}")
        self.counts["refused"] += 1
        if len(self.refused) < _REMEMBERED:
            self.refused[job.key] = reason
            if job.kind == channel.LIBRARY:
                self._try_again = time.monotonic() + LIBRARY_AGAIN
        self._turn_away(job, reason)

    def _turn_away(self, job: Job, reason: bytes) -> None:
        for peer in job.waiting:
            self._tell(peer, channel.REFUSED, job.key, reason)

    def _log(self, text: str) -> None:
        try:
            if os.fstat(2).st_size > LOG_SIZE:
                os.ftruncate(2, 0)      # appended to by us and the worker
            os.write(2, f"{time.strftime('%F %T')} {text}\n".encode())
        except OSError:
            pass                        # a full disk

    def status(self) -> dict[str, object]:
        """For `dragoman cache show`."""
        return {"pid": os.getpid(), "seconds": time.monotonic() - self.started, "queue": len(self.queue),
                "working": self._todo() - len(self.queue), "connections": len(self.peers),
                "broken": self.broken.decode(errors="replace"), **self.counts, **self.store.statistics()}


def main(version: str, folder: str | None, jobs: str, path: str) -> None:
    """The compiler process, as server_start.py starts it: with the listening socket and the lock as descriptors."""
    os.closerange(server_start.LOCK + 1, os.sysconf("SC_OPEN_MAX"))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor in (server_start.LISTENER, server_start.LOCK):
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    os.umask(0o077)
    os.chdir("/")
    _lift_limits()
    if folder:
        _open_log(f"{folder}/server.log")
    if engine_version() != version:
        sys.exit("the sources have changed: this compiler process would be of another version")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, server_start.LISTENER)
    listener.setblocking(False)
    listener.listen(server_start.BACKLOG)       # again, so that peers see our process and not the guest that started us
    if folder:
        trim.trim(folder)

    def wanted() -> bool:
        """Not if somebody has removed the store, or the socket's place: guests would start another process there."""
        return server_start.owns(path, server_start.LOCK) and (folder is None or os.path.isdir(folder))

    def leave() -> None:
        server_start.give_up(path, server_start.LOCK)
    Server(listener, Store(version, folder), jobs, wanted=wanted, leave=leave).serve()


def _lift_limits() -> None:
    """Limits of the guest that started us are not meant for the others."""
    for limit in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_NOFILE):
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (hard, hard))


def _open_log(path: str) -> None:
    """Standard error into the store's folder."""
    try:
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return
    os.dup2(log, 2)
    os.close(log)
