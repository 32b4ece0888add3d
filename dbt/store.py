"""The store on disk: what one run leaves for the next, in $XDG_CACHE_HOME/dragoman, and whether it may be trusted.

Below the store lies a folder per engine version: code made by other sources, libraries, Pythons or host CPUs is never
looked at. In it: images (files that are mapped, by name), entries (bytes by key, each a file) and packs (pack.py: the
regions of one guest file). A folder that another user owns or may write to is not used; without a folder, with a full
or read-only disk and with damaged files all goes on, colder. Nothing here raises for what it finds on disk.
"""

from __future__ import annotations

import os
import sys
from _blake2 import blake2b  # hashlib would load OpenSSL: 2 ms
from _struct import Struct
from zlib import crc32

from dragoman.dbt.pack import Pack, room_for, trusted

_ENTRY = Struct("<8sQI")                # magic, length, checksum
_MAGIC = b"dragoE1\n"
_LIBRARIES = ("llvmlite/_version.py", "numba/_version.py", "capstone/__init__.py")
_CPU = "/sys/devices/system/cpu/modalias"   # vendor, family, model, features; reading cpuinfo may take 10 ms
DAY = 86400


def root_folder() -> str:
    """Where the stores of all versions lie. A relative XDG_CACHE_HOME does not count (XDG base directory rules)."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(home if home.startswith("/") else os.path.expanduser("~/.cache"), "dragoman")


def engine_version() -> str:
    """Digest of what the engine's code depends on beside the guest: by sizes and times of files, so in 0.3 ms."""
    package = os.path.dirname(os.path.abspath(__file__))
    facts = [sys.version, package]
    _sources(package, facts)
    for library in _LIBRARIES:
        for folder in sys.path:
            try:
                info = os.stat(f"{folder}/{library}")
            except OSError:
                continue
            facts.append(f"{folder}/{library} {info.st_size} {info.st_mtime_ns}")
            break
    facts.append(_host_cpu())
    return blake2b("\n".join(facts).encode(errors="surrogateescape"), digest_size=8).hexdigest()


def _sources(folder: str, facts: list[str]) -> None:
    with os.scandir(folder) as found:
        items = sorted(found, key=lambda item: item.name)
    for item in items:
        if item.name.endswith(".py"):
            info = item.stat()
            facts.append(f"{item.name} {info.st_size} {info.st_mtime_ns}")
        elif item.name != "__pycache__" and item.is_dir():
            facts.append(item.name)
            _sources(item.path, facts)


def _host_cpu() -> str:
    try:
        with open(_CPU, "rb", buffering=0) as file:
            return file.read(8192).decode()
    except OSError:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            text = file.read(4096).partition(b"\n\n")[0]
        return b"\n".join(line for line in text.split(b"\n") if line.startswith((b"vendor", b"cpu family", b"model",
                                                                               b"stepping", b"flags"))).decode()


def folder_problem(path: str) -> str:
    """Why a folder, which is made if it is missing, cannot be ours alone to write; empty if it is."""
    try:
        info = os.stat(path)
    except FileNotFoundError:
        try:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass                        # another process was faster
        except OSError as error:
            return f"{path} cannot be made: {error.strerror}"
        try:
            info = os.stat(path)
        except OSError as error:
            return f"{path}: {error.strerror}"
    except OSError as error:
        return f"{path}: {error.strerror}"
    if info.st_mode & 0o170000 != 0o040000:
        return f"{path} is not a folder"
    if info.st_uid != os.geteuid():
        return f"{path} belongs to another user"
    return f"{path} may be written to by others" if info.st_mode & 0o022 else ""


class Store:
    """One version's folder. `folder` is None where there is none to use, for the reason in `problem`."""

    def __init__(self, version: str, folder: str | None, cold: bool = False, problem: str = ""):
        self.version, self.folder, self.cold, self.problem = version, folder, cold, problem
        self._statistics = {"found": 0, "missing": 0, "damaged": 0, "written": 0, "unwritten": 0}
        self._packs: dict[bytes, Pack] = {}

    @classmethod
    def open(cls, cold: bool = False) -> Store:
        """The store of this engine. cold: code of guests is neither read from it nor left there (images are)."""
        root, version = root_folder(), engine_version()
        folder = f"{root}/{version}"
        problem = folder_problem(root) or folder_problem(folder)
        store = cls(version, None if problem else folder, cold, problem)
        if not problem:
            touch(folder)
        return store

    def path(self, name: str) -> str | None:
        """Where the image of that name lies or belongs: image.py saves it whole or not at all, and checks it."""
        return f"{self.folder}/{name}.image" if self.folder else None

    def pack(self, *identity: int | str | bytes) -> Pack:
        """The regions of a guest file. Any identity is sound, since regions are compared with the guest's bytes; a good
        one is the same in the next run and not in other programs: device, inode, size, mtime and where it is mapped."""
        return self.pack_named(blake2b(repr(identity).encode(errors="surrogateescape"), digest_size=16).digest())

    def pack_named(self, name: bytes) -> Pack:
        """The pack of this name (16 bytes): the same object for each call."""
        pack = self._packs.get(name)
        if pack is None:
            usable = self.folder and not self.cold
            pack = Pack(name, f"{self.folder}/{name.hex()}.pack" if usable else None, self._statistics)
            self._packs[name] = pack
        return pack

    def get(self, key: bytes) -> bytes | None:
        """What was put under this key, or None. A damaged file is removed."""
        if self.folder is None or self.cold:
            return None
        path = self._entry_path(key)
        try:
            with open(path, "rb", buffering=0) as file:
                content = file.readall() if trusted(os.fstat(file.fileno())) else b""
        except OSError:
            self._statistics["missing"] += 1
            return None
        data = content[_ENTRY.size:]
        if content[:_ENTRY.size] == _ENTRY.pack(_MAGIC, len(data), crc32(data, crc32(key))):
            self._statistics["found"] += 1
            return data
        self._statistics["damaged"] += 1
        remove(path)
        return None

    def put(self, key: bytes, data: bytes) -> bool:
        """Keep bytes under a key (at most 100 bytes long), whole or not at all; whether they are kept."""
        if self.folder is None or self.cold:
            return False
        header = _ENTRY.pack(_MAGIC, len(data), crc32(data, crc32(key)))
        done = write_whole(self._entry_path(key), header + data)
        self._statistics["written" if done else "unwritten"] += 1
        return done

    def _entry_path(self, key: bytes) -> str:
        return f"{self.folder}/{key.hex()}.entry"

    def statistics(self) -> dict[str, int]:
        """Entries and regions found, missing, damaged, written and not written for want of room or permission."""
        return dict(self._statistics)


def write_whole(path: str, data: bytes) -> bool:
    """Make or replace a file in one step; False, and nothing changed, if it cannot be written."""
    temporary = f"{path}.{os.urandom(6).hex()}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        done = room_for(len(data)) and os.write(descriptor, data) == len(data)
        if done:
            os.rename(temporary, path)
        return done
    except OSError:
        done = False
        return False
    finally:
        os.close(descriptor)
        if not done:
            remove(temporary)


def remove(path: str) -> None:
    """Remove a file if it is there and can be removed."""
    try:
        os.unlink(path)
    except OSError:
        return                          # somebody else's, or gone


def touch(path: str) -> None:
    """Note that it was used, once a day: what was not used for long may go."""
    try:
        if abs(os.stat(path).st_mtime - _now()) > DAY:
            os.utime(path)
    except OSError:
        pass


def _now() -> float:
    from time import time
    return time()


def command(action: str) -> int:
    """dragoman cache show|clear|wait; returns the exit status."""
    from dragoman.dbt import cache_command
    return cache_command.ACTIONS[action]()
