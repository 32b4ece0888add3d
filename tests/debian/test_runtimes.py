"""Language runtimes that write their code: LuaJIT, node and Java print what they print natively, and javac and `java` agree with QEMU."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dragoman.runtime.options import ENGINES
from tests.debian.roots import debian_root, run, run_under_qemu

pytestmark = pytest.mark.debian
PROGRAMS = Path(__file__).parent / "programs"
JAVA = "usr/lib/jvm/java-21-openjdk-riscv64"
# Printed by node 20.20 on x86-64; of server.js, whose events come in any order, the lines sorted.
NODE = {
    "compute.js": """\
fib 196418
deopt 1050000 3890
gc 4000 399904000
regexp 58491690
bigint 869 390998217n
wasm 705082704 549603112
float -0.999999984625 0.999999961689
crypto 5baa1198f928ee7e
zlib true
stack true 3000
""",
    "workers.js": "workers 1839466 800000\n",
    "server.js": f"http ok\nread {(PROGRAMS / 'server.js').stat().st_size}\nsignal\nspawned\ntimer\n",
}
# What Main.java says by the Java language and its library's documentation; the sums are those of OpenJDK 21 under QEMU.
MAIN = """\
fib 196418
shapes 80731596424.194
nulls 20000
overflow
gc 200000000 100
pool 927203328 640000
streams 50000
monitors
virtual 19900
string 1502307778
spawned 0
"""


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
def test_luajit_prints_what_its_interpreter_prints_under_qemu(engine, tmp_path):
    root = debian_root(["luajit"])
    script = shutil.copy(PROGRAMS / "jit.lua", tmp_path)
    done = run(root, ["/usr/bin/luajit", script], "--engine", engine, timeout=600)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == run_under_qemu(root, ["/usr/bin/luajit", "-joff", script], cwd=tmp_path).stdout


@pytest.mark.parametrize(("script", "engine"), [*((script, "auto") for script in NODE), ("compute.js", "stencil"), ("workers.js", "stencil")])
def test_node(script, engine):
    done = run(debian_root(["nodejs"]), ["/usr/bin/node", str(PROGRAMS / script)], "--engine", engine, timeout=600)
    lines = done.stdout.decode().splitlines(keepends=True)
    assert (done.returncode, done.stderr, "".join(sorted(lines) if script == "server.js" else lines)) == (0, b"", NODE[script])


@pytest.fixture(scope="module")
def jdk():
    """A root with Java. Links of its configuration are absolute, and would lead to the host's /etc."""
    root = debian_root(["default-jdk-headless"])
    for path in (root / JAVA).rglob("*"):
        if path.is_symlink() and os.readlink(path).startswith("/etc"):
            target = root / os.readlink(path).lstrip("/")
            path.unlink()
            path.symlink_to(os.path.relpath(target, path.parent))
    return root


@pytest.fixture(scope="module")
def classes(jdk, tmp_path_factory):
    """Main.java, compiled by the guest's javac."""
    folder = tmp_path_factory.mktemp("classes")
    done = run(jdk, [f"/{JAVA}/bin/javac", "-d", str(folder), str(PROGRAMS / "Main.java")], timeout=900)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return folder


def test_javac_writes_what_it_writes_under_qemu(jdk, classes, tmp_path):
    done = run_under_qemu(jdk, [f"/{JAVA}/bin/javac", "-d", "classes", shutil.copy(PROGRAMS / "Main.java", tmp_path)], timeout=900, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {p.name: p.read_bytes() for p in classes.iterdir()} == {p.name: p.read_bytes() for p in (tmp_path / "classes").iterdir()}


@pytest.mark.parametrize("options", [[], ["-Xint"], ["-XX:TieredStopAtLevel=1"], ["-XX:+UseParallelGC", "-Xmx96m"], ["-XX:+UseSerialGC", "-Xcomp"],
                                     ["-XX:+UseZGC"]],
                         ids=["default", "interpreter", "c1", "parallel", "all_compiled", "zgc"])
def test_java(jdk, classes, options):
    """Each collector and compiler has barriers, safepoints and code patching of its own."""
    done = run(jdk, [f"/{JAVA}/bin/java", *options, "-cp", str(classes), "Main"], timeout=900)
    assert (done.returncode, done.stderr, done.stdout.decode()) == (0, b"", MAIN)
