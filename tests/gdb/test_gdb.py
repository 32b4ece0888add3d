"""gdb as the client: what it sees of our machine is what it sees of QEMU's."""

import pytest

from dragoman import guests
from tests.command import DRAGOMAN
from tests.gdb.machine import PATIENCE, free_port, gdb, ours, qemu, running

SCRIPTS = {
    "calls, conditions, variables": r'''
        break bump if amount % 4 == 3
        continue
        printf ". %lu %lu %d\n", amount, counter, $priv
        set var counter = 100
        continue
        printf ". %lu %lu\n", amount, counter
        finish
        printf ". %lu\n", counter
        delete
        hbreak scale
        continue
        printf ". %g %g\n", $fa0.double, half
        set var $fa0.double = 6.5
        finish
        stepi
        stepi
        stepi
        printf ". %g %lx\n", half, $pc - (unsigned long)&begin
        ''',
    "steps through a trap": r'''
        hbreak *trap
        continue
        printf ". %lx %lx %lx %lx %d\n", $mepc - (unsigned long)&begin, $mcause, $mtval, $sp - (unsigned long)&stack, traps
        set $n = 0
        while $n < 14
          printf ". %lx %lx %lx %lx\n", $pc - (unsigned long)&_start, $t0, $t1, $mepc
          stepi
          set $n = $n + 1
        end
        printf ". %d\n", traps
        ''',
    "one address in two address spaces": r'''
        hbreak *0x40000000
        break done
        continue
        printf ". %lx %lx %lx %d %x\n", $pc, $satp >> 44, $scause, $priv, *(int *)$pc
        continue
        printf ". %lx %lx %lx %d %x\n", $pc, $satp >> 44, $scause, $priv, *(int *)$pc
        stepi
        printf ". %lx %lx\n", $pc, $a0
        set var $a0 = 40
        continue
        printf ". %lx %lx %d\n", $pc, $satp >> 44, $priv
        continue
        printf ". %lx %lx %d\n", $pc, $satp >> 44, $priv
        continue
        printf ". %lu %lu %d\n", answers[0], answers[1], $pc == &done
        ''',
    "watchpoints": r'''
        watch watched
        continue
        printf ". %lu\n", watched
        continue
        printf ". %lu\n", watched
        delete
        rwatch watched
        continue
        printf ". %lu\n", watched
        delete
        break done
        continue
        printf ". %lu %lu\n", watched, traps
        ''',
}


@pytest.mark.parametrize("engine", ["stencil", "interpreter"])
@pytest.mark.parametrize("what", SCRIPTS)
def test_as_qemu(binary, what, engine):
    port = free_port()
    with qemu(binary, port):
        expected = gdb(binary, port, SCRIPTS[what])
    with ours(binary, engine=engine) as machine:
        assert gdb(binary, machine.gdb.port, SCRIPTS[what]) == expected


def test_threads_and_monitor(binary, names):
    with ours(binary) as machine:
        lines = gdb(binary, machine.gdb.port, r'''
            thread 2
            set scheduler-locking on
            watch second if second == 3
            continue
            delete
            printf ". %d %d\n", $_thread, second
            stepi 20
            printf ". %d\n", second
            set scheduler-locking off
            thread 1
            break done
            continue
            printf ". %d\n", $_thread
            monitor info harts
            monitor info mmu 0x40000000
            monitor info mmu 0x50000000
            monitor xp 0x80000000 4
            monitor xp 0 4
            monitor nonsense
            monitor stats
            python print("." + gdb.execute("monitor info mmu 0x40000000", to_string=True).replace("\n", "|"))
            python print("." + gdb.execute("monitor info harts", to_string=True).replace("\n", "|"))
            python print("." + gdb.execute("monitor xp 0 4", to_string=True).replace("\n", "|"))
            ''')
    assert lines[0] == ". 2 3" and 4 <= int(lines[1][2:]) <= 23 and lines[2] == ". 1"
    tables = lines[3].split("|")
    assert tables[0] == f".Sv39, ASID 1, root at {names['roots'] + 0x1000:#x}"
    assert [line.split()[-1] for line in tables[1:4]] == ["V-------", "V-------", "VR-X--AD"]
    assert tables[4] == f"0x0000000040000000 is {names['code'] + 0x1000:#x}"
    assert lines[4].startswith(f".* 1  hart 0: S mode at {names['done']:#x}|  2  hart 1: M mode at 0x8")
    assert lines[5] == ".4 bytes at 0x0 are not all in RAM|"


def test_the_command_with_a_guest_of_ours():
    binary, port = guests.find("spaces").path, free_port()
    with running([*DRAGOMAN, "vm", "run", "--bios", binary, "-g", port, "--gdb-wait"]) as process:
        script = 'break *main\ncontinue\nprintf ". %d\\n", $pc == &main\ndelete\nmonitor help\ncontinue'
        assert gdb(binary, port, script) == [". 1"]
        assert process.wait(PATIENCE) == 0
