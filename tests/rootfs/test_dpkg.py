"""dpkg of Debian riscv64 unpacks and installs a package inside a root, with what it needs of processes, locks and renames."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.command import dragoman
from tests.real.fetch import CACHE, CannotFetch, kept_root
from tests.rootfs.contained import WAYS, need

pytestmark = pytest.mark.real
PACKAGES = ["base-files", "dash", "dpkg", "tar", "coreutils", "hostname", "sed"]


@pytest.fixture
def root(tmp_path):
    """A root of its own for each test, with an empty list of installed packages."""
    try:
        kept = kept_root("trixie", "riscv64", PACKAGES)
    except CannotFetch as reason:
        pytest.skip(f"no Debian root: {reason}")
    subprocess.run(["cp", "-a", kept, tmp_path / "root"], check=True)
    for folder in ("info", "updates"):
        (tmp_path / "root/var/lib/dpkg" / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "root/var/lib/dpkg/status").touch()
    return tmp_path / "root"


def package(name: str) -> Path:
    return max((CACHE / "packages").glob(f"{name}_*_riscv64.deb"), key=lambda path: path.stat().st_mtime)


@pytest.mark.parametrize("way", WAYS)
def test_dpkg_installs_a_package(way, root, tmp_path):
    need(way)
    if way == "descriptors" and os.geteuid():
        pytest.skip("dpkg wants to be root, and by descriptors it is whoever the user is")
    deb = package("sed")
    (root / "sed.deb").write_bytes(deb.read_bytes())
    subprocess.run(["dpkg-deb", "-x", deb, tmp_path / "expected"], check=True)          # by the host's
    files = [path.relative_to(tmp_path / "expected") for path in (tmp_path / "expected").rglob("*") if path.is_file()]
    assert len(files) > 10
    for name in files:
        (root / name).unlink(missing_ok=True)
    done = dragoman("run", "--rootfs", str(root), "--containment", way, "-E", "PATH=/usr/sbin:/usr/bin", "/usr/bin/dpkg",
                    "--force-depends", "--force-bad-path", "-i", "/sed.deb", timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Status: install ok installed" in (root / "var/lib/dpkg/status").read_text()
    for name in files:
        wanted, made = tmp_path / "expected" / name, root / name
        assert made.read_bytes() == wanted.read_bytes()
        assert made.stat().st_mode == wanted.stat().st_mode
    listed = (root / "var/lib/dpkg/info/sed.list").read_text().splitlines()
    assert {f"/{name}" for name in files} <= set(listed)
