"""Instead of compile_jobs.py: the first word of a request says what befalls the worker."""

import os
import signal
import time

from dragoman.dbt.pack import make_entry, request_key

HEAD, OPTIONS = 0x10000, 1


def prepare() -> None:
    """Nothing to load."""


def guest_bytes(request: bytes) -> bytes:
    return b"guest code of " + request


def region(request: bytes) -> bytes:
    word, _, rest = request.partition(b" ")
    if word == b"crash":
        os.abort()
    if word == b"raise":
        raise ValueError("no such luck")
    if word == b"stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if word == b"spin":
        while True:
            pass
    if word == b"work":
        end = time.process_time() + float(rest)
        while time.process_time() < end:
            pass
    if word == b"slow":
        time.sleep(float(rest.split()[0]))
    if word == b"nonsense":
        return b"no entry"
    code = bytes(int(rest.split()[0])) if word == b"big" else b"host code of " + request
    return make_entry(request_key(request), HEAD, OPTIONS, [(HEAD, guest_bytes(request))], code)


def library(kind: str, folder: str) -> bytes:
    with open(f"{folder}/{kind}.image", "w") as file:
        file.write(kind)
    return b""
