"""Whether a region is worth it: by the counts of its blocks, by what LLVM made of it, and after many that were not."""

import ctypes
from time import perf_counter
from types import SimpleNamespace

import pytest

from dragoman.dbt import region_worth, tiering
from dragoman.dbt.region_growth import WORTH, is_worth_it
from dragoman.dbt.state import STAGE_ASKED, STAGE_COLD, STAGE_PROFILED, STATE_SIZE
from dragoman.dbt.stencil_layout import ENDS_JUMP_TO
from dragoman.dbt.store import Store
from tests.engines.guest import REGISTERS
from tests.tiering.machine import CODE, THRESHOLD, TIMES, made
from tests.tiering.test_bad_store import store  # noqa: F401
from tests.tiering.test_promotion import LOOP, OTHER, asked_once, machine, only_machine  # noqa: F401


def block(pc: int, size: int, ends: int) -> SimpleNamespace:
    """Executed a thousand times."""
    return SimpleNamespace(pc=pc, size=size, ends=ends, target=0, executed=1000)


@pytest.mark.parametrize(("bytes_between", "worth"), [(WORTH // 2, False), (2 * WORTH, True)])
def test_what_is_left_often_is_not(bytes_between, worth):
    blocks = [block(0x1000, bytes_between, 0), block(0x1000 + bytes_between, 2, ENDS_JUMP_TO)]
    assert is_worth_it(blocks, []) == worth


@pytest.mark.parametrize(("targets", "worth"), [(1, True), (10, False)])
def test_each_computed_target_asks_for_more(targets, worth):
    """The same work between two exits, by that many blocks that jump to one another."""
    work = 10 * WORTH
    blocks = [block(0x1000 + 0x1000 * n, work // targets, ENDS_JUMP_TO) for n in range(targets)]
    assert is_worth_it([*blocks, block(0x10_0000, 2, 0)], [each.pc for each in blocks]) == worth


def test_a_region_of_too_much_host_code_is_not_put_to_use(machine, monkeypatch):    # noqa: F811
    request = asked_once(machine)
    monkeypatch.setattr(tiering, "EXPANSION", 0)
    monkeypatch.setattr(tiering, "WIDE", 0)
    machine.compiler.compile(request)
    assert machine.call(x5=TIMES)[10] == TIMES
    assert machine.row(CODE, "region") == 0 and machine.row(CODE, "stage") == STAGE_ASKED
    assert len(machine.compiler.asked) == 1


def test_what_an_earlier_run_refused_is_counted_when_it_is_hotter(store, monkeypatch):    # noqa: F811
    monkeypatch.setattr(tiering, "grow", lambda *of: None)
    machine = only_machine().fresh(store)               # noqa: F811
    machine.load(LOOP)
    machine.call(x5=TIMES)
    assert store.pack(*machine.engine.origin(CODE)).refused(0) == [CODE]
    for times, stage in ((tiering.AGAIN * THRESHOLD, STAGE_COLD), (THRESHOLD + 2, STAGE_PROFILED)):
        if stage == STAGE_COLD:
            machine = only_machine().fresh(Store.open())
            machine.load(LOOP)
        machine.call(x5=997 * times)
        assert machine.row(CODE, "stage") == stage


@pytest.mark.parametrize(("period", "kept"), [(1e-12, True), (1.0, False)])
def test_a_region_that_is_entered_too_often_is_given_up(store, period, kept):       # noqa: F811
    machine = only_machine().fresh(store)               # noqa: F811
    request = asked_once(machine)
    assert store.pack(*machine.engine.origin(CODE)).append(made(request))
    machine.tiering.judge.period = period
    machine.compiler.compile(request)
    for _ in range(2):                                  # the first is what puts it to use
        assert machine.call(x5=TIMES)[10] == TIMES
    assert machine.row(CODE, "region") != 0
    for _ in range(10):
        machine.call(x5=4)
    machine.load(LOOP, OTHER)
    machine.call(OTHER, x5=997 * region_worth.FIRST * (THRESHOLD + 1))      # polls enough for a look: in regions none are counted
    assert (machine.row(CODE, "region") != 0) == kept
    pack = Store.open().pack(*machine.engine.origin(CODE))
    assert (len(pack.entries(request.options)) == 1) == kept == (not pack.refused(request.options))
    assert machine.call(x5=9)[10] == 9


SUM = """
top:
    fadd.d f1,f1,f2
    addi x5,x5,-1
    bne x5,x0,<top>
"""
PAYLOAD, NAN = 0x7FF8_0000_0000_1234, 0x7FF8 << 48


def test_a_region_whose_guards_let_nobody_in_is_given_up(machine):                  # noqa: F811
    """It would settle the NaN that the sum begins with; each time, the oracle takes over for an instruction."""
    machine.load(SUM)
    machine.call(x5=TIMES)
    machine.compiler.compile(machine.compiler.asked[0])
    machine.call(x5=TIMES)
    for _ in range(region_worth.REFUSALS):
        assert machine.row(CODE, "region") != 0
        machine.start([0, 0, 0, 0, 0, 1, *[0] * 26], [0, PAYLOAD, *[0] * 30])
        assert machine.run(CODE) == "emulate" and machine.cpu.pc == CODE
        machine.engine.met_oracle(machine.cpu)
    assert machine.row(CODE, "region") == 0
    machine.start([0, 0, 0, 0, 0, 1, *[0] * 26], [0, PAYLOAD, *[0] * 30])
    assert machine.run(CODE) == "breakpoint" and REGISTERS.unpack_from(machine.registers)[33 + 1] == NAN


@pytest.mark.parametrize("refused", [0, 4, 8, 12, 100])
def test_what_was_refused_makes_hot_what_is_hotter_only(machine, refused):          # noqa: F811
    machine.load(LOOP)
    machine.engine.set_control("refused", refused)
    times = THRESHOLD << min(refused // 4, 3)
    machine.call(x5=997 * (times - 1))
    assert machine.row(CODE, "stage") == STAGE_COLD
    machine.call(x5=997)
    assert machine.row(CODE, "stage") == STAGE_PROFILED
    machine.call(x5=TIMES)
    assert len(machine.compiler.asked) == 1 and machine.engine.control("refused") == 0


class Cpu:
    def __init__(self, memory):
        self.memory, self.address = memory, ctypes.addressof(memory)


class Engine:
    """What a Judge sees of one."""

    def __init__(self):
        self.words, self.cpus, self.memory = {"threshold": 1}, {}, (ctypes.c_uint32 * (STATE_SIZE // 4))()

    def control(self, name):
        return self.words.get(name, 0)

    def set_control(self, name, value):
        self.words[name] = value

    def start(self, entries):
        """The CPU of a thread that has entered region 1 so often; at the address of the one before."""
        self.memory[region_worth.slot(1) // 4] = entries
        self.cpus = {1: Cpu(self.memory)}


@pytest.mark.parametrize(("entries", "given_up"), [(1, False), (1_000_000, True)])
def test_entries_of_a_thread_that_has_ended_do_not_count_for_the_next(entries, given_up):
    engine = Engine()
    judge = region_worth.Judge(engine)
    engine.start(1000)
    judge.watch(1, CODE)
    assert judge.look() == []                           # it is not time yet
    engine.start(entries)
    judge.period = (perf_counter() - judge._since) / 1000       # since then, a thousand would be allowed
    engine.set_control("stat_polls", region_worth.FIRST)
    assert judge.look() == ([(1, CODE)] if given_up else [])
    assert (engine.control("judge") == 0) == given_up
