"""gcc, g++, make, binutils and a configure script give what they give under QEMU; what they build runs as it does natively."""

import hashlib
from pathlib import Path

import pytest

from tests.debian import project
from tests.debian.roots import debian_root, run_inside, run_under_qemu

pytestmark = pytest.mark.debian
PACKAGES = "make gcc g++ binutils autoconf".split()
LINKS = {"usr/bin/cc": "gcc", "usr/bin/c++": "g++"}
BINUTILS = r"""
g++ -O1 -g -ffunction-sections -c -o debug.o part.cpp
ld -r -o both.o debug.o debug2.o
readelf -aW debug.o >readelf.txt
objdump -drwC debug.o >objdump.txt
objdump -WL debug.o >lines.txt
nm -nC debug.o >nm.txt
size both.o >size.txt
strings -n 8 debug.o | c++filt >strings.txt
objcopy --only-section=.rodata* --strip-debug debug.o part.bin
strip -g -o stripped.o debug.o
as -march=rv64gc -o hand.o hand.s
ld -Ttext=0x10000 -o hand hand.o
addr2line -fe hand 0x10000 >addresses.txt
ar crD all.a debug.o hand.o; ranlib -D all.a; ar tv all.a >ar.txt
gcc -O2 -flto -shared -fPIC -o lto.so one.c two.c
gcc -O3 -march=rv64gc_zba_zbb -S -o one.s one.c
"""
HAND = """.globl _start
_start:
 la a0, text
 li a1, 0x123456789abcdef
 amoadd.d.aqrl a2, a1, (a0)
 fmadd.d fa0, fa1, fa2, fa3
 ecall
.data
text: .asciz "x"
"""
CONFIGURE_AC = r"""AC_INIT([probe], [1.0])
AC_CONFIG_HEADERS([config.h])
AC_PROG_CC
AC_CHECK_HEADERS([threads.h sys/epoll.h windows.h])
AC_CHECK_FUNCS([memfd_create strlcpy no_such_function])
AC_CHECK_LIB([m], [cos])
AC_CHECK_SIZEOF([long double])
AC_C_BIGENDIAN
AC_RUN_IFELSE([AC_LANG_PROGRAM([[#include <unistd.h>]], [[return sysconf(_SC_PAGESIZE) != 4096;]])],
    [AC_DEFINE([SMALL_PAGES], [1], [Pages have 4 KiB.])])
AC_CONFIG_FILES([Makefile])
AC_OUTPUT
"""


@pytest.fixture(scope="module")
def root():
    return debian_root(PACKAGES, LINKS)


def shell(runner, root, folder, script, timeout=3600.0):
    """Execute a script in the folder and return the digest of each file that is new or changed then."""
    before = digests(folder)
    done = runner(root, ["/usr/bin/dash", "-ec", script], cwd=folder, timeout=timeout)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")[-2000:]
    made = {name: digest for name, digest in digests(folder).items() if before.get(name) != digest}
    for name in made:
        (folder / name).unlink()
    return made


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_make_builds_a_project_bit_for_bit(root, tmp_path):
    project.write(tmp_path)
    script = "make -s -j4 && ./project >output"
    made = shell(run_inside, root, tmp_path, script)
    assert made["output"] == hashlib.sha256(project.OUTPUT.encode()).hexdigest()
    assert len([name for name in made if name.endswith(".o")]) == 24
    assert made == shell(run_under_qemu, root, tmp_path, script)


def test_binutils(root, tmp_path):
    (tmp_path / "part.cpp").write_text(project.CPP.format(n=3, size=100, odd=77))
    (tmp_path / "project.h").write_text('extern "C" unsigned long part_3(unsigned long);\n')
    (tmp_path / "hand.s").write_text(HAND)
    (tmp_path / "one.c").write_text("int two(int); int one(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += two(p[i]); return s; }\n")
    (tmp_path / "two.c").write_text("int two(int x) { return x * x > 100 ? x % 10 : __builtin_popcount(x); }\n")
    made = shell(run_inside, root, tmp_path, "gcc -O2 -c -o debug2.o two.c\n" + BINUTILS)
    assert len(made) == 18
    assert made == shell(run_under_qemu, root, tmp_path, "gcc -O2 -c -o debug2.o two.c\n" + BINUTILS)


@pytest.mark.parametrize("name", ["dash", "bash"])
def test_a_configure_script(name, root, tmp_path):
    (tmp_path / "configure.ac").write_text(CONFIGURE_AC)
    (tmp_path / "Makefile.in").write_text("CC = @CC@\nLIBS = @LIBS@\n")
    script = f"autoconf; autoheader; export CONFIG_SHELL=/usr/bin/{name}; $CONFIG_SHELL ./configure; rm -r autom4te.cache config.log"
    made = shell(run_inside, root, tmp_path, script)
    assert {"configure", "config.h", "config.status", "Makefile"} <= made.keys()
    assert made == shell(run_under_qemu, root, tmp_path, script)
