"""Random programs: engines against the oracle, integers against Unicorn, and floating point against qemu-riscv64."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.engines import qemu
from tests.engines.guest import BLOCK_KINDS, KINDS, guest
from tests.engines.program import Program, Unicorn, check, run, run_oracle
from tests.engines.sequences import programs
from tests.isa.qemu_engine import QEMU

NATIVE = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
LONG = settings(NATIVE, max_examples=20_000)


# Where nothing faults, one kind of regions does for all.
FEWER_KINDS = (*BLOCK_KINDS, "region-fast")


def against_oracle(program: Program) -> None:
    wanted = run_oracle(program)
    for kind in KINDS:
        check(program, kind, run(guest(kind), program), "oracle", wanted)


@NATIVE
@given(program=programs())
def test_engines_against_the_oracle(program: Program):
    against_oracle(program)


@pytest.mark.long
@LONG
@given(program=programs())
def test_engines_against_the_oracle_long(program: Program):
    against_oracle(program)


@pytest.fixture(scope="module")
def unicorn() -> Unicorn:
    return Unicorn()


def against_unicorn(unicorn: Unicorn, program: Program) -> None:
    wanted = unicorn.run(program)
    for kind in FEWER_KINDS:
        check(program, kind, run(guest(kind), program), "unicorn", wanted)


@NATIVE
@given(program=programs(floats_too=False, atomics=False, wild=False))
def test_integers_against_unicorn(unicorn: Unicorn, program: Program):
    against_unicorn(unicorn, program)


@pytest.mark.long
@LONG
@given(program=programs(floats_too=False, atomics=False, wild=False))
def test_integers_against_unicorn_long(unicorn: Unicorn, program: Program):
    against_unicorn(unicorn, program)


qemu_needed = pytest.mark.skipif(QEMU is None, reason="qemu-riscv64 is not installed")


def against_qemu(program: Program) -> None:
    program = qemu.prepared(program)
    wanted = qemu.run(program)
    check(program, "oracle", run_oracle(program), "qemu-riscv64", wanted)
    for kind in FEWER_KINDS:
        check(program, kind, run(guest(kind), program), "qemu-riscv64", wanted)


@qemu_needed
@settings(NATIVE, max_examples=80)
@given(program=programs(atomics=False, wild=False))
def test_floating_point_against_qemu(program: Program):
    """In all rounding modes, to nearest with ties away among them, by the instruction and by frm."""
    against_qemu(program)


@qemu_needed
@pytest.mark.long
@LONG
@given(program=programs(atomics=False, wild=False))
def test_floating_point_against_qemu_long(program: Program):
    against_qemu(program)
