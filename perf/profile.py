"""`dragoman perf profile`: runs a program, sampled from outside, and shows which guest code its CPU time went to."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from io import StringIO
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from dragoman.perf import profile_code, profile_show, result_file, table
from dragoman.perf.contenders import DRAGOMAN
from dragoman.perf.profile_events import Events
from dragoman.perf.profile_sample import Recording, SampleError, Sampler
from dragoman.perf.profile_shares import Shares
from dragoman.perf.profile_stops import Stops
from dragoman.runtime.options import ENGINES

ABOUT = """Runs a riscv64 program and shows where its CPU time went: in which guest functions, blocks and compiled regions, in
which tier, in Python and in the host's kernel; and the hottest guest code beside the host code that was made of it."""
WAYS: dict[str, type[Sampler]] = {"events": Events, "stops": Stops}
WRONG_USAGE, FAILED = 2, 1                          # exit status


class Wrong(Exception):
    """The command line is wrong, or nothing can be sampled; the message says what to do."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Wrong(message)


def parser() -> Parser:
    made = Parser("dragoman perf profile", description=ABOUT, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
                  usage="dragoman perf profile [options] PROGRAM [-- ARGUMENT ...]\n"
                        "       dragoman perf profile --vm [options] -- OPTION-OF-VM-RUN ...",
                  epilog="Input and output are the program's own, and so is the exit status; the profile comes behind its output.")
    add = made.add_argument
    add("program", nargs="?", metavar="PROGRAM", help="a file with a riscv64 program, which gets the ARGUMENTs")
    add("--vm", action="store_true", help="a machine instead of a program: behind -- come options of dragoman vm run")
    add("--symbols", type=Path, metavar="FILE", help="with --vm: names of the kernel's code, as in System.map or /proc/kallsyms (those in the "
        "kernel's own file are used anyway)")
    add("-L", "--root", metavar="ROOT", help="the guest's root, as of dragoman run")
    add("-o", type=Path, metavar="FILE", dest="output", help="write the profile to FILE instead of standard output")
    add("--json", type=Path, metavar="FILE", help="write it as JSON, with all blocks and regions")
    add("--top", type=positive, default=10, metavar="N", help="show so many functions, blocks and regions (default: 10)")
    add("--engine", choices=[*ENGINES, "auto"], default="auto", help="as of dragoman run (default: auto)")
    add("--by", choices=[*WAYS], metavar="|".join(WAYS), help="how it is sampled: by events of the host's kernel (default, where it permits them), "
        "or by stopping the program for each sample, which it may notice")
    return made


def positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def main(words: list[str]) -> int:
    """Run one command line; returns the exit status."""
    cut = words.index("--") if "--" in words else len(words)
    try:
        return profile(parser().parse_args(words[:cut]), words[cut + 1:])
    except Wrong as error:
        complain(str(error))
        return WRONG_USAGE


def complain(text: str) -> None:
    sys.stderr.write(f"dragoman: perf profile: {text}\n")


def profile(options: argparse.Namespace, arguments: list[str]) -> int:
    """Raises Wrong."""
    for path in (options.output, options.json):
        if path is not None and (path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK)):
            raise Wrong(f"{path}: cannot be written")
    symbols, words = symbols_of(options.symbols), words_of(options, arguments)
    with tempfile.TemporaryDirectory(prefix="dragoman-profile-") as folder:
        codemap = Path(folder, "codemap")
        at = 2 if options.vm else 1
        recording = record([*DRAGOMAN, *words[:at], "--codemap", str(codemap), *words[at:]], options.by)
        processes = profile_code.read(codemap, symbols) if codemap.exists() else {}
    if all(process.first == 1 << 64 for process in processes.values()):
        return recording.status or FAILED           # dragoman run has said why
    shares = Shares(recording, processes)
    problem = unshown = ""
    if options.json:
        told = profile_show.as_json(shares, options.program or "vm run", arguments)
        problem = result_file.write(options.json, json.dumps(told, indent=1) + "\n")
    shown = profile_show.summary(shares, " ".join([options.program or "vm run", *arguments]), options.top)
    if options.output:
        Console(file=(text := StringIO()), width=table.WIDE).print(shown)
        unshown = result_file.write(options.output, text.getvalue())
    for line in filter(None, (problem, unshown)):
        complain(line)
    if unshown or not options.output:
        sys.stdout.flush()
        (Console(highlight=False) if sys.stdout.isatty() else Console(width=table.WIDE, highlight=False)).print(shown)
    return recording.status or (FAILED if problem or unshown else 0)


def words_of(options: argparse.Namespace, arguments: list[str]) -> list[str]:
    """The command line of dragoman. Raises Wrong."""
    engine = ["--engine", options.engine]
    if options.vm:
        if options.program or options.root:
            raise Wrong("--vm: its kernel and all else is given behind --, as options of dragoman vm run")
        return ["vm", "run", *engine, *arguments]
    if options.program is None:
        raise Wrong("which program? dragoman perf profile PROGRAM, or --vm")
    if options.symbols:
        raise Wrong("--symbols is for --vm")
    return ["run", *engine, *(["-L", options.root] if options.root else []), "--", options.program, *arguments]


def symbols_of(path: Path | None) -> profile_code.SystemMap | None:
    """Raises Wrong."""
    try:
        return profile_code.SystemMap(path) if path is not None else None
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from None
    except ValueError:
        raise Wrong(f"{path}: is no list of symbols as System.map and /proc/kallsyms are") from None


def record(command: list[str], way: str | None) -> Recording:
    """By this way, None: by the first that works. Raises Wrong."""
    reasons = []
    for name in [way] if way else WAYS:
        try:
            return WAYS[name]().record(command, dict(os.environ))
        except SampleError as error:
            reasons.append(str(error))
    raise Wrong("; ".join(reasons))
