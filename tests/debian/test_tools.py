"""git, perl with threads, sqlite3 with several writers, tar and xz, dpkg, dash and bash do what they do natively."""

import filecmp
import shutil
import socket
import subprocess

import pytest

from dragoman.runtime.options import ENGINES
from tests.command import DRAGOMAN
from tests.debian.roots import ARCHITECTURE, SUITE, debian_root, finished, run
from tests.debian.scripts import SCRIPTS
from tests.real.fetch import index, package_file
from tests.rootfs.contained import need

pytestmark = pytest.mark.debian
PACKAGES = "git perl sqlite3 xz-utils dpkg procps".split()


@pytest.fixture(scope="module")
def root():
    return debian_root(PACKAGES)


def check(script, root, folder, *options):
    with socket.create_server(("127.0.0.1", 0)) as server:      # a port that was free a moment ago
        port = str(server.getsockname()[1])
    done = run(root, ["/usr/bin/dash", "-ec", script.text], *options, timeout=script.seconds, environment={"PORT": port}, cwd=folder)
    assert (done.stdout.decode(), done.returncode) == (script.output, 0), done.stderr.decode(errors="replace")[-2000:]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_script(script, root, tmp_path):
    check(script, root, tmp_path)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("script", [s for s in SCRIPTS if s.name in ("shells", "perl-threads")], ids=lambda script: script.name)
def test_script_on_one_engine(script, engine, root, tmp_path):
    check(script, root, tmp_path, "--engine", engine)


def test_dpkg_unpacks_what_dpkg_deb_unpacks_natively(root, tmp_path):
    base, packages = index(SUITE, ARCHITECTURE)
    names = ["hostname", "bc", "libxml2"]
    target, expected = tmp_path / "target", tmp_path / "expected"
    (target / "var/lib/dpkg/updates").mkdir(parents=True)
    (target / "var/lib/dpkg/info").mkdir()
    (target / "var/lib/dpkg/status").touch()
    for name in names:
        file = package_file(base, packages[name])
        shutil.copy(file, tmp_path / f"{name}.deb")
        subprocess.run(["dpkg-deb", "-x", file, expected], check=True)
    done = run(root, ["/usr/bin/dash", "-ec", "dpkg --root=$PWD/target --force-not-root --force-depends --unpack *.deb && "
                      "dpkg-query --root=$PWD/target -W -f '${Package} ${db:Status-Status}\\n' && dpkg --root=$PWD/target --verify"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().endswith("".join(f"{name} unpacked\n" for name in sorted(names)))
    files = [path.relative_to(expected) for path in expected.rglob("*") if path.is_file()]
    assert len(files) > 10 and filecmp.cmpfiles(expected, target, files, shallow=False) == (list(files), [], [])
    for path in files:
        assert (expected / path).lstat().st_mode == (target / path).lstat().st_mode


def test_ip_lists_what_interfaces_there_are():
    """By netlink; with --net none there is loopback alone."""
    root = debian_root(["iproute2"])

    def listed(words):
        done = finished([*DRAGOMAN, "run", *words, "-o", "address"], 120, None)
        assert (done.returncode, done.stderr) == (0, b"")
        return [line.split()[1:4] for line in done.stdout.decode().splitlines()]
    rows = listed(["-L", str(root), f"{root}/usr/bin/ip"])
    assert ["lo", "inet", "127.0.0.1/8"] in rows and {row[0] for row in rows} <= {name for _, name in socket.if_nameindex()}
    need("namespaces")
    inside = ["--rootfs", str(root), "--containment", "namespaces", "--net", "none", "/usr/bin/ip"]
    assert listed(inside) == [["lo", "inet", "127.0.0.1/8"], ["lo", "inet6", "::1/128"]]
