"""The control socket of a machine that runs in the background: requests and answers are lines of JSON.

{"do": "status"} is answered by {"ok": true, ...}, or by {"ok": false, "error": TEXT}. After an answer to "console", the
connection is the machine's console, both ways, without lines. Only processes of the same user are listened to.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator

from dragoman.runtime.machine.attachment import Attachment
from dragoman.runtime.machine.options import MachineError

LONGEST = 1 << 16               # bytes of a line
CONNECTIONS = 32                # at a time
LAST_WORDS = 2.0                # seconds that a console's reader has for what the machine wrote last
CREDENTIALS = 12                # bytes of struct ucred: process, user, group


@contextlib.contextmanager
def address(path: str) -> Iterator[str]:
    """A name of a socket that fits into a socket address (108 bytes) however deep its folder lies."""
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def listen(path: str) -> socket.socket:
    """A socket at the path, in place of one that a process which is gone has left."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    made = socket.socket(socket.AF_UNIX)
    with address(path) as name:
        made.bind(name)
    os.chmod(path, 0o600)
    made.listen(CONNECTIONS)
    return made


def _text(error: Exception) -> str:
    """One line for the user."""
    if isinstance(error, OSError) and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else error.strerror
    return str(error)


class Lines:
    """Lines of JSON over a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def read(self) -> dict | None:
        """The next object, None at the end. A byte at a time: what is behind a line may be a console's. Raises ValueError."""
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = self.connection.recv(1)
            if not byte:
                return None
            line += byte
            if len(line) > LONGEST:
                raise ValueError("the line is too long")
        try:
            value = json.loads(line)
        except RecursionError:
            raise ValueError("is nested too deep") from None
        if not isinstance(value, dict):
            raise ValueError("is no object")
        return value

    def write(self, **fields: object) -> None:
        self.connection.sendall(json.dumps(fields).encode() + b"\n")


class Control:
    """Answers requests about one machine, from construction to close()."""

    def __init__(self, machine, listener: socket.socket) -> None:          # type: ignore[no-untyped-def]
        self.machine, self._listener = machine, listener
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self._closing = False
        self._gone = threading.Event()          # of who has the console: the client, or the machine
        self._console = threading.Lock()        # held while a client has the console
        self.requests: dict[str, Callable[[dict], dict]] = {
            "status": self._status, "pause": self._pause, "resume": self._resume, "stop": self._stop, "resize": self._resize,
            "snapshot": self._snapshot,
            "statistics": lambda request: {"text": machine.statistics()},
        }
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def close(self) -> None:
        """The machine has ended: who has the console gets the last of it."""
        if self._closing:
            return
        self._closing = True
        self._listener.shutdown(socket.SHUT_RDWR)       # wakes who accepts
        self._listener.close()
        self._gone.set()
        if self._console.acquire(timeout=LAST_WORDS):
            self._console.release()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:                     # closed
                return
            user = int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS)[4:8], "little")
            if user != os.geteuid() or not self._slots.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="control client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        lines = Lines(connection)
        try:
            with connection:
                while (request := lines.read()) is not None:
                    if request.get("do") == "console":
                        self._carry(connection, lines)
                        return
                    if request.get("do") == "clone":
                        self._hand_over(lines)
                    else:
                        lines.write(**self._answer(request))
        except (OSError, ValueError):           # the client is gone, or is none of ours
            return
        finally:
            self._slots.release()

    def _answer(self, request: dict) -> dict:
        call = self.requests.get(str(request.get("do")))
        if call is None:
            return {"ok": False, "error": f"no request {request.get('do')}: it is one of console, {', '.join(self.requests)}"}
        try:
            return {"ok": True, **call(request)}
        except (MachineError, OSError) as error:
            return {"ok": False, "error": _text(error)}

    def _carry(self, connection: socket.socket, lines: Lines) -> None:
        """The connection is the console until the client or the machine ends."""
        if not self._console.acquire(blocking=False):
            lines.write(ok=False, error="another client has the console")
            return
        try:
            lines.write(ok=True)
            gone = self._gone = threading.Event()
            if self._closing:
                return
            descriptor = connection.fileno()
            attachment = Attachment(self.machine.console, descriptor, descriptor, ended=gone.set, end_of_input=gone.set)
            gone.wait()
            if not self._closing:
                connection.shutdown(socket.SHUT_RDWR)   # nobody is there for the rest
            attachment.close()
        finally:
            self._console.release()

    def _hand_over(self, lines: Lines) -> None:
        """A clone's snapshot, as a file of this process that is there until the client says that it has it, or goes."""
        from dragoman.runtime.machine.snapshot import hand_over
        try:
            file = hand_over(self.machine)
        except (MachineError, OSError) as error:
            lines.write(ok=False, error=_text(error))
            return
        try:
            lines.write(ok=True, path=f"/proc/{os.getpid()}/fd/{file}")
            lines.read()
        finally:
            os.close(file)

    # ---- requests

    def _status(self, request: dict) -> dict:
        options = self.machine.options
        return {"state": "paused" if self.machine.paused else "running", "pid": os.getpid(), "cpus": options.cpus,
                "memory": options.memory, "console": self.machine.console.attached}

    def _pause(self, request: dict) -> dict:
        self.machine.pause()
        return {}

    def _resume(self, request: dict) -> dict:
        self.machine.resume()
        return {}

    def _snapshot(self, request: dict) -> dict:
        path = request.get("path")
        if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
            raise MachineError("a snapshot needs an absolute path")
        goes_on = not self.machine.paused
        if request.get("pause") is True:
            self.machine.pause()
        try:
            self.machine.snapshot(os.fsencode(path))
        except BaseException:
            if goes_on:
                self.machine.resume()
            raise
        return {}

    def _stop(self, request: dict) -> dict:
        self.machine.stop()
        return {}

    def _resize(self, request: dict) -> dict:
        columns, rows = request.get("columns"), request.get("rows")
        if not (isinstance(columns, int) and isinstance(rows, int) and 0 <= columns < 1 << 16 and 0 <= rows < 1 << 16):
            raise MachineError("columns and rows are numbers of 16 bits")
        if self.machine.console.on_resize is not None:
            self.machine.console.on_resize(columns, rows)
        return {}
