"""Debian's riscv64 programs give the output that they give natively."""

import pytest

from dragoman.perf.debian import PACKAGES, PROGRAMS, Program, expectations
from dragoman.runtime.options import ENGINES
from tests.command import DRAGOMAN
from tests.real.fetch import CannotFetch, kept_root
from tests.real.programs import run

pytestmark = pytest.mark.real
EXPECTED = expectations()


@pytest.fixture(scope="session")
def root():
    """A folder with the programs and their libraries; fetched once, kept in the user's cache folder."""
    try:
        return kept_root("trixie", "riscv64", PACKAGES)
    except CannotFetch as reason:
        pytest.skip(f"no Debian root: {reason}")


def check(program: Program, root, *options: str, timeout: float) -> None:
    done = run(program, root, [*DRAGOMAN, "run", "-L", str(root), *options], timeout)
    assert done.verdict(EXPECTED[program.name]) == "ok"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_program(program, root):
    check(program, root, timeout=60)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.kind == "quick"], ids=lambda program: program.name)
def test_quick_program_on_one_engine(program, engine, root):
    check(program, root, "--engine", engine, timeout=60)
