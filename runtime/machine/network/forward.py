"""Ports of the host that are forwarded to the guest."""

from __future__ import annotations

import os
import socket
from typing import Any

from .addresses import GUEST
from .options import ForwardOptions, NetworkError
from .tcp import Tcp
from .udp import Udp

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_ACCEPTS = 16  # connections in a row, so that all have their turn
_PAUSE = 1.0   # seconds until a port is looked at again after there were too many connections or descriptors


class Forward:
    """A port that is listened on. Raises NetworkError if it cannot be had."""

    def __init__(self, events: Any, options: ForwardOptions, tcp: Tcp, udp: Udp) -> None:
        self._events = events
        self._tcp = tcp
        self._udp = udp
        self._guest_port = options.guest_port
        self._is_stream = options.protocol == "tcp"
        self._timer: Any = None
        self._socket = socket.socket(socket.AF_INET, _KINDS[options.protocol] | socket.SOCK_NONBLOCK)
        try:
            if self._is_stream:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((options.address, options.port))
            if self._is_stream:
                self._socket.listen()
        except OSError as error:
            self._socket.close()
            raise NetworkError(f"--net: {options.protocol} port {options.port} of {options.address} cannot be forwarded: "
                               f"{os.strerror(error.errno or 0)}") from None
        self.port: int = self._socket.getsockname()[1]
        """The port of the host."""
        self._watch()

    def close(self) -> None:
        """Stops listening."""
        if self._timer is not None:
            self._events.cancel(self._timer)
        self._events.unwatch(self._socket.fileno())
        self._socket.close()

    def _watch(self) -> None:
        self._timer = None
        self._events.watch(self._socket.fileno(), readable=self._accept if self._is_stream else self._receive)

    def _receive(self) -> None:
        self._udp.accept(self._socket, (GUEST, self._guest_port))

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                if self._tcp.is_full:
                    break
                connection, address = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError:  # no descriptors
                break
            self._tcp.accept(connection, address, GUEST, self._guest_port)
        else:
            return
        self._events.unwatch(self._socket.fileno())
        self._timer = self._events.after(_PAUSE, self._watch)
