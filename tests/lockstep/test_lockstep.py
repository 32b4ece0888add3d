"""Two engines on one guest: alike to its end, as if it ran alone; and one with a wrong instruction, which is named."""

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from dragoman import guests
from dragoman.perf.debian import PACKAGES
from dragoman.runtime.options import ENGINES
from tests.command import DRAGOMAN, dragoman
from tests.real.fetch import CannotFetch, kept_root

SMALL = {guest.name: guest for guest in guests.programs(small=True)}
# What each has: floating point, calls by pointer, code that it writes itself (also by another mapping of one file), signals
# between and within system calls, faults that it catches, shared memory and mapped files, child processes, clocks.
GUESTS = ("hello", "sha256", "nbody", "virtual", "libc", "selfmod", "codealias", "signals", "timers", "recover", "memory",
          "processes", "clock", "rounding", "fault-wild", "fault-null", "status")
OWN_WORDS = re.compile(r"dragoman: guest SIG\w+ at pc .*\n|This line goes to standard error.\n")
WRONG = Path(__file__).with_name("wrong_engine.py")

# Form and the recipe that it is given instead; a guest that it matters to; how the instruction is named.
FAULTS = {
    "integer": ("xor", "or", "sha256", r"xor \w+, \w+, \w+"),
    "compressed": ("xor", "or", "libc", r"c\.xor \w+, \w+"),
    "store": ("sw", "sh", "quicksort", r"(c\.)?sw\w* \w+, \w+\(\w+\)"),
    "float": ("fadd.d", "fsub.d", "nbody", r"fadd\.d \w+, \w+, \w+"),
    "branch": ("bge", "blt", "sieve", r"bge \w+, \w+, 0x\w+"),
    "division": ("remu", "divu", "collatz", r"remu \w+, \w+, \w+"),
}


def pairs() -> list[str]:
    return [",".join(pair) for pair in combinations(ENGINES, 2)]


@pytest.mark.parametrize("pair", pairs())
@pytest.mark.parametrize("name", GUESTS)
def test_guest_runs_as_alone(name, pair):
    guest = SMALL[name]
    done = subprocess.run([*DRAGOMAN, "run", "--lockstep", pair, str(guest.path), *guest.arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    assert OWN_WORDS.sub("", done.stderr.decode()) == ""
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    assert (done.stdout, status) == (guest.expected_output, guest.expected_status)


def test_threads_are_refused():
    done = dragoman("run", "--lockstep", "interpreter,stencil", str(SMALL["threads"].path))
    assert done.returncode == 125
    assert done.stderr == "dragoman: --lockstep: the guest starts a thread, and only programs of one thread can be followed\n"


def wrong(engine: str, form: str, recipe: str, folder: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(WRONG), engine, form, recipe, str(folder / f"{form}.image"), *words],
                          capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Where wrong images are kept, one for both engines."""
    return tmp_path_factory.mktemp("images")


@pytest.mark.parametrize("engine", ["interpreter", "stencil"])
@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_instruction_is_named(fault, engine, images):
    form, recipe, name, text = FAULTS[fault]
    done = wrong(engine, form, recipe, images, "--lockstep", "interpreter,stencil", str(SMALL[name].path))
    assert done.returncode == 125
    *report, line = done.stderr.splitlines()
    found = re.fullmatch(rf"dragoman: --lockstep: {engine} is wrong at (0x\w+) ({text})", line)
    assert found, line
    # The last instruction listed is that one; the table marks what the wrong engine has and the oracle has not.
    listed = [row for row in report if re.match(r"  0x\w+  [0-9a-f]{4,8} ", row)]
    assert listed[-1].split()[0] == found[1] and listed[-1].endswith(found[2])
    marked = [row.split()[1:] for row in report if row.startswith("* ")]
    assert marked
    for row in marked:
        interpreter, stencil, oracle = row[-3:]
        assert {"interpreter": interpreter, "stencil": stencil}[engine] != oracle
        assert {"interpreter": stencil, "stencil": interpreter}[engine] == oracle


@pytest.mark.parametrize("pair", ["interpreter,region", "stencil,region"])
def test_wrong_instruction_in_a_region_is_named(pair, images):
    form, recipe, name, text = FAULTS["integer"]
    done = wrong("region", form, recipe, images, "--lockstep", pair, str(SMALL[name].path))
    assert re.search(rf"\ndragoman: --lockstep: region is wrong at 0x\w+ {text}\n", done.stderr)


def test_difference_is_found_behind_many_loops(images):
    """Far behind the last system call: `collatz` divides only to print what it has counted for a second."""
    form, recipe, name, text = FAULTS["division"]
    done = wrong("stencil", form, recipe, images, "--lockstep", "interpreter,stencil", str(SMALL[name].path), "30000")
    assert re.search(rf"stencil is wrong at 0x\w+ {text}\n", done.stderr)


@pytest.fixture(scope="module")
def root():
    try:
        return kept_root("trixie", "riscv64", PACKAGES)
    except CannotFetch as reason:
        pytest.skip(f"no Debian root: {reason}")


@pytest.mark.real
@pytest.mark.parametrize("pair", [pair for pair in pairs() if pair.startswith("interpreter")])
def test_python(pair, root):
    done = dragoman("run", "--lockstep", pair, "-L", str(root), f"{root}/usr/bin/python3", "-S", "-c",
                    "print(sum(range(10**5)))", timeout=600)
    assert (done.stdout, done.stderr, done.returncode) == ("4999950000\n", "", 0)
