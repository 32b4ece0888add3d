"""Real Debian programs with known output, to run under any emulator.

    programs.py list
    programs.py check --root DIR [--runner 'CMD PREFIX'] [--kind quick|start|steady] [--only NAME] [--repeat N]

The root is made by fetch.py from PACKAGES. `--runner` goes before the program's path ('qemu-riscv64 -L DIR',
'dragoman run -L DIR'); without one the root must be of this host's architecture and its own dynamic loader is used.
The programs are those of perf/debian.py, what they print is perf/debian.json: the same for every architecture.
Exit 0 when all are equal.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dragoman.perf.debian import EXPECTED, PROGRAMS, Program, expectations, guest_environment


def command(root: Path, runner: Sequence[str], argv: list[str]) -> list[str]:
    """The host's command line for one program; without a runner, for a root of the host's own architecture."""
    program = [str(root / argv[0]), *argv[1:]]
    if runner:
        variables = [word for name, value in guest_environment(root).items() for word in ("-E", f"{name}={value}")]
        return [*runner, *variables, *program]
    loader = sorted(glob.glob(str(root / "usr/lib*/**/ld-linux*"), recursive=True))[0]
    libraries = ":".join(glob.glob(str(root / "usr/lib/*-linux-gnu*")))
    return program if argv[0].endswith("busybox") else [loader, "--library-path", libraries, *program]


class Run(NamedTuple):
    """How one run went."""

    seconds: float
    status: int
    output: bytes
    error: bytes

    def verdict(self, expected: dict) -> str:
        """"ok", or what differs from an entry of debian.json."""
        if (hashlib.sha256(self.output).hexdigest(), self.status) == (expected["sha256"], expected["status"]):
            return "ok"
        return f"status {self.status}, output {self.output[:60]!r}, error {self.error[-300:]!r}"


def run(program: Program, root: Path, runner: Sequence[str] = (), timeout: float = 120) -> Run:
    """Run one program. Raises subprocess.TimeoutExpired."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/tmp", "TZ": "UTC"}
    environment |= {} if runner else guest_environment(root)
    environment |= {name: value for name, value in os.environ.items() if name.startswith("XDG")}
    with tempfile.TemporaryFile() as source:
        source.write(program.input())
        source.seek(0)
        start = time.perf_counter()
        done = subprocess.run(command(root, runner, program.argv), stdin=source, capture_output=True, env=environment,
                              timeout=timeout)
    return Run(time.perf_counter() - start, done.returncode, done.stdout, done.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["list", "check", "record"])
    parser.add_argument("--root", type=Path)
    parser.add_argument("--runner", default="")
    parser.add_argument("--kind")
    parser.add_argument("--only")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--json", type=Path, help="write {name: [seconds, ok]} here")
    options = parser.parse_args()
    chosen = [p for p in PROGRAMS if options.kind in (None, p.kind) and options.only in (None, p.name)]
    if options.action == "list":
        print("\n".join(f"{p.name}\t{p.kind}\t{p.argv[0]}" for p in chosen))
        return 0
    if options.root is None:
        parser.error("--root is needed")
    root, expected = options.root.resolve(), expectations()
    results, failed = {}, 0
    for program in chosen:
        times, verdict = [], "ok"
        for _ in range(options.repeat):
            try:
                done = run(program, root, shlex.split(options.runner), options.timeout)
            except subprocess.TimeoutExpired:
                verdict = f"no end in {options.timeout:g} s"
                break
            times.append(done.seconds)
            if options.action == "record":
                expected[program.name] = {"sha256": hashlib.sha256(done.output).hexdigest(), "status": done.status,
                                          "head": done.output[:80].decode("latin-1")}
            verdict = done.verdict(expected[program.name]) if verdict == "ok" else verdict
        failed += verdict != "ok"
        seconds = statistics.median(times) if times else None
        results[program.name] = [seconds, verdict == "ok"]
        shown = "-" if seconds is None else format(seconds, "8.3f")
        print(f"{program.name:22} {program.kind:7} {shown} s  {verdict}", flush=True)
    if options.action == "record":
        EXPECTED.write_text(json.dumps(expected, indent=1) + "\n")
    if options.json:
        options.json.write_text(json.dumps(results))
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
