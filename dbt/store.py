"""The store on disk: what one run leaves for the next, in $XDG_CACHE_HOME/dragoman or else $TMPDIR, and whether it may be trusted.

Below the store lies a folder per engine version: code made by other sources, libraries, Pythons or host CPUs is never
looked at. In it: images (linked code, by name) and packs (pack.py: the regions of one guest file), units
(unit_files.py: stencil code of one guest file). A folder
that another user owns or may write to is not used; without a folder, with a full or read-only disk and with damaged
files all goes on, colder. Nothing here raises for what it finds on disk.
"""

from __future__ import annotations

import os
import sys
from _blake2 import blake2b  # hashlib would load OpenSSL: 2 ms

from dragoman.dbt.files import folder_problem, touch
from dragoman.dbt.pack import Pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

IMAGE, PACK, UNITS = ".image", ".pack", ".units"     # how their names end
_LIBRARIES = ("llvmlite/_version.py", "numba/_version.py", "capstone/__init__.py")
_CPU = "/sys/devices/system/cpu/modalias"   # vendor, family, model, features; reading cpuinfo may take 10 ms
PACKS = 64                              # remembered: more come by in a compiler process that is long-lived


def roots() -> tuple[str, str]:
    """Where the stores of all versions may lie: in the user's cache, and where nothing can be made there, beside other temporary files.
    A relative XDG_CACHE_HOME does not count (XDG base directory rules)."""
    home, place = os.environ.get("XDG_CACHE_HOME", ""), os.environ.get("TMPDIR", "")
    return (os.path.join(home if home.startswith("/") else os.path.expanduser("~/.cache"), "dragoman"),
            f"{place if place.startswith('/') else '/tmp'}/dragoman-{os.geteuid()}")


def root_problem(root: str) -> str:
    """Why one of the roots is not to be used; empty if it is. Beside temporary files another user may have laid a link."""
    return folder_problem(root, links=root == roots()[0])


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


def digest(folders: Iterable[str]) -> str:
    """Of the sources in these folders, by sizes and times."""
    facts: list[str] = []
    for folder in folders:
        _sources(folder, facts)
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


def _name(identity: tuple[int | str | bytes, ...]) -> bytes:
    return blake2b(repr(identity).encode(errors="surrogateescape"), digest_size=16).digest()


class Store:
    """One version's folder. `folder` is None where there is none to use; `problem`: why that, or why it is not in the user's cache."""

    def __init__(self, version: str, folder: str | None, cold: bool = False, problem: str = "", root: str = ""):
        self.version, self.folder, self.cold, self.problem = version, folder, cold, problem
        self.root = root                    # below which the folders of all versions lie
        self.socket: str | None = None      # where the compiler process listens, if not where it would be looked for
        self.starts_server = True           # whether to start one
        self._statistics = {"found": 0, "missing": 0, "damaged": 0, "written": 0, "unwritten": 0}
        self._packs: dict[bytes, Pack] = {}

    @classmethod
    def open(cls, cold: bool = False) -> Store:
        """The store of this engine. cold: code of guests is neither read from it nor left there (images are)."""
        version, problem = engine_version(), ""
        for root in roots():
            folder = f"{root}/{version}"
            here = root_problem(root) or folder_problem(folder)
            problem = problem or here
            if not here:
                touch(folder)
                return cls(version, folder, cold, problem, root)
        return cls(version, None, cold, problem, roots()[0])

    def path(self, name: str) -> str | None:
        """Where the image of that name lies or belongs: image.py saves it whole or not at all, and checks it."""
        return f"{self.folder}/{name}{IMAGE}" if self.folder else None

    def pack(self, *identity: int | str | bytes) -> Pack:
        """The regions of a guest file. Any identity is sound, since regions are compared with the guest's bytes; a good
        one is the same in the next run and not in other programs: device, inode, size, mtime and where it is mapped."""
        return self.pack_named(_name(identity))

    def prepared(self, *identity: int | str | bytes) -> Pack:
        """The regions of a guest file that were made of its code as it stands there, before anything was known of its runs."""
        return self.pack("prepared", *identity)

    def units_path(self, *identity: int | str | bytes) -> str | None:
        """Where the translated units of executable memory that is known by this lie or belong; None: nothing is kept of guests' code."""
        return self._file(_name(identity), UNITS)

    def _file(self, name: bytes, ending: str) -> str | None:
        """Where what is of guests' code lies or belongs; None: such is neither read nor left."""
        return f"{self.folder}/{name.hex()}{ending}" if self.folder and not self.cold else None

    def pack_named(self, name: bytes) -> Pack:
        """The pack of this name (16 bytes): the same object for each call, while it is among the PACKS last ones."""
        pack = self._packs.pop(name, None)
        if pack is None:
            pack = Pack(name, self._file(name, PACK), self._statistics)
            if len(self._packs) >= PACKS:
                del self._packs[next(iter(self._packs))]
        self._packs[name] = pack
        return pack

    def statistics(self) -> dict[str, int]:
        """Regions found, missing, damaged, written and not written for want of room or permission."""
        return dict(self._statistics)


def command(action: str, *arguments: int) -> int:
    """dragoman cache show|clear|limit|wait; returns the exit status."""
    from dragoman.dbt import cache_command
    return cache_command.ACTIONS[action](*arguments)
