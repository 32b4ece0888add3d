"""gdb as the client. What it is to see follows from guest.c, the ABI and Linux's ptrace."""

import pytest

from tests.gdb_process.debugged import BEFORE_BOTH, BOTH_SEEN, BOTH_SIDES, gdb, waiting

ENGINES = ["auto", "interpreter", "region"]


@pytest.mark.parametrize("engine", ENGINES)
def test_breakpoints_registers_variables_and_steps(debug, engine):
    lines, status = debug("calls", r'''
        break bump if amount == 4
        continue
        printf ". %ld %ld %lx\n", amount, counter, $pc == (unsigned long)&bump
        bt 1
        python print(". " + " ".join(frame.name() for frame in [gdb.newest_frame(), gdb.newest_frame().older()]))
        set var counter = 100
        finish
        printf ". %ld\n", counter
        delete
        hbreak scale
        continue
        printf ". %g %g\n", $fa0.double, half
        set var $fa0.double = 6.5
        set var $fcsr = 0x21
        printf ". %d %d\n", $frm, $fflags
        set var $frm = 0
        finish
        printf ". %g\n", half
        tbreak reached
        continue
        stepi
        stepi
        printf ". %lx\n", (unsigned long)$sp % 16
        continue
        printf ". %d\n", $_exitcode
        ''', options=("--engine", engine))
    assert lines == [". 4 6 1", ". bump calls", ". 104", ". 3 0.5", ". 1 1", ". 3.25", ". 0", ". 139"] and status == 139


@pytest.mark.parametrize("engine", ENGINES)
def test_watchpoints(debug, engine):
    """Values after each access; the writes of 5 and 6, the atomic operation, and reads: of `other = watched`, the operation's own."""
    lines, status = debug("watching", r'''
        watch watched
        continue
        printf ". %ld\n", watched
        continue
        printf ". %ld\n", watched
        continue
        printf ". %ld\n", watched
        delete
        continue
        printf ". %d\n", $_exitcode
        ''', options=("--engine", engine))
    assert lines == [". 5", ". 6", ". 16", ". 16"] and status == 16


def test_watchpoints_of_reads(debug):
    """gdb takes RISC-V to stop before the access, and steps once more: over the store of what was read."""
    lines, status = debug("watching", r'''
        rwatch watched
        continue
        printf ". %ld %ld\n", watched, other
        continue
        printf ". %ld %ld\n", watched, other
        delete
        awatch other
        continue
        printf ". %ld\n", other
        kill
        python print(". killed")
        ''')
    assert lines[:2] == [". 6 6", ". 16 6"] and lines[-1] == ". killed" and status == -9


def test_signals_are_shown_and_can_be_changed(debug):
    lines, _ = debug("signals", r'''
        break reached
        continue
        python print(". " + gdb.execute("p $_siginfo.si_signo", to_string=True).split()[-1])
        python print(". " + gdb.execute("p $_siginfo._sifields._kill.si_pid == $_inferior", to_string=True).split()[0])
        signal SIGUSR2
        printf ". %ld\n", handled
        handle SIGCHLD stop print
        continue
        signal 0
        printf ". %ld\n", handled
        continue
        printf ". %d\n", $_exitcode
        ''')
    assert [lines[0], *lines[2:]] == [". 10", ". 12", ". 12", ". 12"]


def test_signals_that_pass_make_no_stop(debug):
    lines, status = debug("signals", r'''
        handle SIGUSR1 nostop noprint pass
        break reached
        continue
        printf ". %ld %lx\n", handled, $pc == (unsigned long)&reached
        kill
        ''')
    assert lines == [". 10 1"] and status == -9


def test_a_fault_is_shown_and_ends_the_process_when_it_goes_on(debug):
    lines, status = debug("faults", r'''
        continue
        printf ". %d %lx\n", $_siginfo.si_signo, $_siginfo._sifields._sigfault.si_addr
        python print(". " + gdb.newest_frame().name())
        continue
        printf ". %d\n", $_exitsignal
        ''')
    assert lines == [". 11 123450", ". faults", ". 11"] and status == -11


def test_threads(debug):
    lines, status = debug("threads", r'''
        break reached
        continue
        python print(". " + " ".join(sorted(thread.name for thread in gdb.selected_inferior().threads())))
        thread 2
        set scheduler-locking on
        set var $before = counter
        stepi 30
        printf ". %d %d\n", counter - $before > 0, counter - $before < 30
        delete
        break bump
        set var stop = 1
        continue
        printf ". %d %ld\n", $_thread, amount
        set scheduler-locking off
        continue
        printf ". %d\n", $_exitcode
        ''')
    assert lines == [". guest worker", ". 1 1", ". 2 1000", ". 3"] and status == 3


@pytest.mark.parametrize(("part", "mode", "amount", "code"), [("fork", "parent", 1, 5), ("fork", "child", 1000, 5), ("vfork", "parent", 1, 5)])
def test_forks_are_followed(debug, part, mode, amount, code):
    lines, status = debug(part, r'''
        break bump
        continue
        printf ". %ld\n", amount
        continue
        printf ". %d\n", $_exitcode
        ''', before=f"set follow-fork-mode {mode}")
    assert lines == [f". {amount}", f". {code}"] and status == 5


def test_both_sides_of_a_fork_stay(debug):
    lines, status = debug("fork", BOTH_SIDES, BEFORE_BOTH)
    assert (lines, status) == BOTH_SEEN


def test_exec_is_seen_and_breakpoints_go_with_the_program(debug):
    lines, status = debug("exec", r'''
        catch exec
        continue
        python print(". exec")
        break bump if amount == 9
        continue
        printf ". %ld %ld\n", amount, counter
        continue
        printf ". %d\n", $_exitcode
        ''')
    assert lines == [". exec", ". 9 36", ". 45"] and status == 45


def test_auxv_mappings_and_the_executable(debug, binary):
    lines, _ = debug("calls", r'''
        python print(". " + next(line for line in gdb.execute("info auxv", to_string=True).splitlines() if "AT_ENTRY" in line).split()[-1])
        printf ". %#lx\n", $pc
        python print(". " + "|".join(line.split()[-1] for line in gdb.execute("info proc mappings", to_string=True).splitlines() if "/" in line))
        python print(". " + gdb.execute("info proc exe", to_string=True).split("'")[-2])
        kill
        ''')
    assert lines[0] == lines[1]                         # a static program begins at its entry
    assert str(binary) in lines[2] and lines[3] == f". {binary}"


def test_detached_it_goes_on(debug):
    lines, status = debug("calls", 'break bump\ncontinue\nprintf ". %ld\\n", amount\ndetach')
    assert lines == [". 0"] and status == 45


@pytest.mark.parametrize("part", ["endless", "asleep"])
def test_it_can_be_interrupted(binary, part, tmp_path):
    with waiting(binary, part, folder=tmp_path) as (place, process):
        lines = gdb(binary, place, r'''
            python import threading
            python threading.Timer(2, lambda: gdb.post_event(lambda: gdb.execute("interrupt"))).start()
            continue
            printf ". %d\n", $_thread
            set var counter = 5
            set var $a5 = 7
            printf ". %ld %ld\n", counter, $a5
            kill
            ''')
    assert lines == [". 1", ". 5 7"]


@pytest.mark.parametrize("engine", ENGINES)
def test_code_can_be_written(debug, engine):
    """Its page is not writable for the guest: `scale` becomes `ret`, after it has run once, and does nothing."""
    lines, _ = debug("calls", r'''
        break reached
        continue
        printf ". %g\n", half
        set var {short}&scale = 0x8082
        printf ". %x\n", {unsigned short}&scale
        printf ". %g %g\n", scale(3.0), half
        kill
        ''', options=("--engine", engine))
    assert lines[:2] == [". 1.5", ". 8082"] and lines[2].endswith(" 1.5")


def test_memory_that_the_guest_may_not_read(debug):
    """The guard page below a thread's stack (glibc maps it with PROT_NONE) is zeroes."""
    lines, _ = debug("threads", r'''
        break reached
        continue
        python
        areas = [line.split() for line in gdb.execute("info proc mappings", to_string=True).splitlines()]
        guard = next(int(area[0], 16) for area in areas if len(area) > 4 and area[4] == "---p")
        print(". " + bytes(gdb.selected_inferior().read_memory(guard, 8)).hex())
        gdb.selected_inferior().write_memory(guard, b"seen")
        print(". " + bytes(gdb.selected_inferior().read_memory(guard, 8)).hex())
        end
        kill
        ''')
    assert lines == [". " + bytes(8).hex(), ". " + b"seen\0\0\0\0".hex()]


def test_no_memory_is_an_error_and_no_crash(debug):
    lines, _ = debug("calls", r'''
        python
        for address in (0, 1 << 40, (1 << 64) - 8, 1 << 38):
            try:
                gdb.selected_inferior().read_memory(address, 8)
            except gdb.MemoryError:
                print(". none")
        end
        kill
        ''')
    assert lines == [". none"] * 4
