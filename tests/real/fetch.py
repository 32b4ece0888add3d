"""Unpack Debian packages of a foreign architecture, with what they depend on, into a folder; nothing of them is run.

usage: fetch.py SUITE ARCH DIR PACKAGE...

The mirror is this host's; each package is checked against the SHA-256 in the suite's index (the index itself is not
authenticated: test data only). Downloads are kept in $XDG_CACHE_HOME/dragoman-tests/packages, the index for a day.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dragoman-tests"


class CannotFetch(Exception):
    """No root can be made here; the message says why, in one line."""


class NotThere(CannotFetch):
    """The mirror answers, but has no such file."""


def mirrors() -> list[str]:
    """The mirrors of this host's apt sources, in either format and in their order."""
    found: list[str] = []
    folder = Path("/etc/apt/sources.list.d")
    for path in [folder / "debian.sources", Path("/etc/apt/sources.list"), *sorted(folder.glob("*"))]:
        if path.is_file() and path.suffix in (".sources", ".list"):
            found += re.findall(r"^(?:URIs:|deb(?: \[.*?\])?)\s+(http\S+)", path.read_text(errors="replace"), re.M)
    if not found:
        raise CannotFetch("no mirror in this host's apt sources")
    return list(dict.fromkeys(base.rstrip("/") for base in found))


def download(url: str, attempts: int = 3, timeout: float = 30) -> bytes:
    """GET. Raises NotThere where the mirror answers that it has no such file, CannotFetch after so many attempts."""
    for attempt in range(attempts):
        time.sleep(attempt)
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise NotThere(f"{url}: {error}") from None
            failure: OSError = error
        except OSError as error:
            failure = error
    raise CannotFetch(f"cannot fetch {url}: {failure}")


def keep(path: Path, data: bytes) -> Path:
    """Write a file so that it is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    return partial.replace(path)


def index(suite: str, arch: str) -> tuple[str, dict[str, dict[str, str]]]:
    """The mirror that has the suite, and name -> control fields: virtual names too (real ones win)."""
    kept, kept_base = (CACHE / "packages" / f"{what}-{suite}-{arch}" for what in ("index", "mirror"))
    if kept.exists() and kept_base.exists() and time.time() - kept.stat().st_mtime < 86400:
        base, data = kept_base.read_text(), kept.read_bytes()
    else:
        base, data = newest_index(suite, arch)
        keep(kept_base, base.encode())
        keep(kept, data)
    packages: dict[str, dict[str, str]] = {}
    provided: dict[str, dict[str, str]] = {}
    for paragraph in lzma.decompress(data).decode().split("\n\n"):
        fields = dict(re.findall(r"^(\S+?): (.*)$", paragraph, re.M))
        if fields:
            packages[fields["Package"]] = fields
            for name in re.split(r",\s*", fields.get("Provides", "")):
                provided.setdefault(name.split(" ")[0], fields)
    return base, provided | packages


def newest_index(suite: str, arch: str) -> tuple[str, bytes]:
    """The first mirror that has this suite's index, and the index, compressed; one that does not answer ends this."""
    for base in mirrors():
        try:
            return base, download(f"{base}/dists/{suite}/main/binary-{arch}/Packages.xz", attempts=1, timeout=15)
        except NotThere:
            continue
    raise CannotFetch(f"no mirror of this host's apt sources has {suite} for {arch}")


def closure(packages: dict[str, dict[str, str]], wanted: list[str]) -> list[dict[str, str]]:
    """The wanted packages and all that they depend on: the first alternative that exists."""
    chosen: dict[str, dict[str, str]] = {}
    work = list(wanted)
    while work:
        name = work.pop()
        if name not in packages:
            raise CannotFetch(f"no package {name} for this architecture")
        fields = packages[name]
        if fields["Package"] in chosen:
            continue
        chosen[fields["Package"]] = fields
        needs = ", ".join(filter(None, (fields.get("Pre-Depends"), fields.get("Depends"))))
        for group in re.split(r",\s*", needs):
            names = [re.split(r"[\s:(]", alternative)[0] for alternative in group.split(" | ")]
            work += [next((n for n in names if n in packages), names[0])] if names[0] else []
    return list(chosen.values())


def package_file(base: str, fields: dict[str, str]) -> Path:
    """The .deb, kept from before or downloaded; its hash is checked."""
    name = fields["Filename"].rsplit("/", 1)[1]
    kept = CACHE / "packages" / name
    if kept.exists() and hashlib.sha256(kept.read_bytes()).hexdigest() == fields["SHA256"]:
        return kept
    data = download(f"{base}/{fields['Filename']}")
    if hashlib.sha256(data).hexdigest() != fields["SHA256"]:
        raise CannotFetch(f"{name}: wrong SHA-256")
    return keep(kept, data)


def fetch(suite: str, arch: str, directory: Path, wanted: list[str]) -> None:
    """Unpack the wanted packages and what they depend on. Raises CannotFetch."""
    if not shutil.which("dpkg-deb"):
        raise CannotFetch("dpkg-deb is needed (Debian or Ubuntu host)")
    base, packages = index(suite, arch)
    directory.mkdir(parents=True, exist_ok=True)
    for fields in closure(packages, wanted):
        subprocess.run(["dpkg-deb", "-x", package_file(base, fields), directory], check=True)


def kept_root(suite: str, arch: str, wanted: list[str]) -> Path:
    """A root with these packages in the cache folder, made the first time. Raises CannotFetch."""
    digest = hashlib.sha256(" ".join(sorted(wanted)).encode()).hexdigest()[:8]
    root = CACHE / "roots" / f"{suite}-{arch}-{digest}"
    if not root.exists():
        partial = root.with_name(f"{root.name}.{os.getpid()}")
        try:
            fetch(suite, arch, partial, wanted)
            partial.rename(root)
        except OSError:                 # another process has made it meanwhile
            if not root.exists():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return root


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    try:
        fetch(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
    except CannotFetch as error:
        sys.exit(str(error))
