"""Rounds of `mix.c` and of `stress.c` on each engine, with and without --chaos: `python -m tests.soak.rounds ROUNDS` prints what came of them.

What a run of mix prints is in mix.txt, by its seed: five rounds of a native build print that, on every Linux.
"""

import concurrent.futures
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.command import DRAGOMAN

HERE = Path(__file__).parent
MIX, STRESS = HERE / "mix", HERE.parent / "process" / "stress"
SUMS = (HERE / "mix.txt").read_text().split()       # of the seeds from 1
ROUNDS = 5                                          # of a run
ENGINES = {
    "interpreter": ["--engine", "interpreter"], "stencil": ["--engine", "stencil"], "region": ["--engine", "region", "--threshold", "2000"],
    "auto": [], "auto, inline": ["--compiler", "inline", "--threshold", "2"], "auto, precise": ["--precise", "--threshold", "2"],
    "auto, little room": ["--code-size", "512K"], "region, precise": ["--engine", "region", "--threshold", "2000", "--precise"],
}
STRESSES = {        # case: rounds, what it prints natively
    "queued": (100, "each once: 1, in order: 1\n"), "queued_in_threads": (100, "each once: 1\n"), "lazy_pages": (100, "one fault a page: 1\n"),
    "much_code": (5, "all code did what it says\n"), "children": (3, "each of 9 children ended as it should: 1\n"),
    "exec_among_threads": (5, "each went on as another program\n")}
LIMIT = 900         # seconds, for a run that takes one or two where nothing else runs


def command(engine: str, number: int) -> tuple[list[str], str]:
    """The run with this number on an engine, and what it prints. Two of three have chaos, one of six is of stress."""
    words = [*DRAGOMAN, "run", *ENGINES[engine], *(["--chaos", str(number + 1)] if number % 3 else [])]
    if number % 6 == 5:
        case = list(STRESSES)[number // 6 % len(STRESSES)]
        return [*words, str(STRESS), case, str(STRESSES[case][0])], STRESSES[case][1]
    seed = number % len(SUMS)
    return [*words, str(MIX), str(seed + 1), str(ROUNDS)], SUMS[seed] + "\n"


def run(engine: str, number: int) -> str:
    """Empty, or what was wrong."""
    words, expected = command(engine, number)
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return f"{' '.join(words[len(DRAGOMAN):])}: not done in {LIMIT} s"
    if (done.returncode, done.stdout, done.stderr) == (0, expected, ""):
        return ""
    return f"{' '.join(words[len(DRAGOMAN):])}: status {done.returncode}, printed {done.stdout!r} for {expected!r}, {done.stderr[-500:]!r}"


def soak(rounds: int, start: int = 0) -> list[str]:
    """What failed of so many rounds, in runs numbered from `start` on. Prints progress, failures and counts."""
    each = -(-rounds // (ROUNDS * len(ENGINES)))
    jobs = [(engine, start + number) for engine in ENGINES for number in range(each)]
    random.Random(start).shuffle(jobs)
    failures, begin = [], time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, wrong in enumerate(pool.map(lambda job: run(*job), jobs), 1):
            if wrong:
                failures.append(wrong)
                print(f"FAILED: {wrong}", flush=True)
            if done % 20 == 0 or done == len(jobs):
                print(f"{done * ROUNDS} rounds of {len(jobs) * ROUNDS}, {len(failures)} failures, {time.monotonic() - begin:.0f} s", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(1 if soak(*map(int, sys.argv[1:])) else 0)
