"""Random programs: engines against the oracle, and integers against Unicorn."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.engines.guest import BLOCK_KINDS, KINDS, guest
from tests.engines.program import Program, Unicorn, check, run, run_oracle
from tests.engines.sequences import programs

NATIVE = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
LONG = settings(NATIVE, max_examples=20_000)


# Without a faulting access, kinds of regions do not differ in what the tests of integers are about.
INTEGER_KINDS = (*BLOCK_KINDS, "region-fast")


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
    for kind in INTEGER_KINDS:
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
