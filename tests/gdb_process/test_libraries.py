"""gdb follows the guest's dynamic loader, and reads libraries by the stub."""

from pathlib import Path

import pytest

from tests.gdb_process.debugged import PATIENCE, gdb, guest, waiting

LIBRARIES = Path("/usr/riscv64-linux-gnu")      # of Debian's libc6-riscv64-cross
SIGUSR1 = 10


@pytest.fixture(scope="session")
def dynamic(tmp_path_factory):
    if not (LIBRARIES / "lib/libc.so.6").exists():
        pytest.skip("libc6-riscv64-cross is not installed")
    return guest(tmp_path_factory.mktemp("dynamic"), static=False)


def test_a_breakpoint_in_a_library(dynamic, tmp_path):
    """It is set before there is a library; the program begins in its loader."""
    with waiting(str(dynamic), "signals", options=("-L", str(LIBRARIES)), folder=tmp_path) as (place, process):
        lines = gdb(dynamic, place, r'''
            set breakpoint pending on
            handle SIGUSR1 nostop noprint pass
            python print(". " + gdb.solib_name(int(gdb.parse_and_eval("(unsigned long)$pc"))).rsplit("/", 1)[-1])
            break raise
            break main
            continue
            python print(". " + gdb.newest_frame().name())
            continue
            python print(". " + gdb.newest_frame().name() + " of " + gdb.solib_name(gdb.newest_frame().pc()))
            up
            python print(". " + gdb.selected_frame().name())
            down
            finish
            printf ". %ld\n", handled
            delete
            continue
            printf ". %d\n", $_exitcode
            ''')
        assert process.wait(PATIENCE) == SIGUSR1
    assert lines == [". ld-linux-riscv64-lp64d.so.1", ". main", ". raise of target:/lib/libc.so.6", ". signals", f". {SIGUSR1}", f". {SIGUSR1}"]
