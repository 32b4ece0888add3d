"""What the runtimes of languages do (languages.c): stacks on the heap, safepoints, preemption by signals, code written by threads."""

from pathlib import Path

import pytest

from dragoman.runtime.options import ENGINES
from tests.command import dragoman
from tests.process.binaries import check_source, needs_compiler

LANGUAGES = Path(__file__).parent / "languages"
SUM = sum(n + 1 for n in range(300))
EXPECTED = {
    "vfork_beside_threads": "status 4, the child wrote 42\nabove it: xx\n",
    "pages_on_demand": f"{4 * 64 * 20}\n",
    "safepoints": "50 safepoints, wrong: 0\n",
    "preemption": "300 preemptions, wrong: 0\n",
    "compilers": "".join(f"{how}: {SUM} {SUM} {SUM} {SUM}\n" for how in ("writable and executable", "mapped twice", "one or the other")),
}


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
@pytest.mark.parametrize("case", EXPECTED)
def test_case(case, engine):
    done = dragoman("run", "--engine", engine, str(LANGUAGES), case)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", EXPECTED[case])


@needs_compiler
def test_the_binary_is_what_the_source_says(tmp_path):
    check_source("languages", tmp_path)
