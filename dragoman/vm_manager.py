"""The commands on machines that are kept under a name and run in the background, each in a process of its own."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import suppress

from dragoman.arguments import UsageError, help_text, parse
from dragoman.cli import complain, say
from dragoman.runtime.machine.control import Lines
from dragoman.runtime.machine.options import MachineError, MachineOptions
from dragoman.vm_snapshots import clone, restore, snapshot
from dragoman.vm_store import STOPPED, Kept, KeptError, answer, names

STOP_PATIENCE = 10.0            # seconds that a machine's process has for its end


def create(words: list[str]) -> int:
    """dragoman vm create NAME [options]: they are checked now, and again at each start."""
    from dragoman.vm import ABOUT, KEPT_OPTIONS, machine_options
    if not words or words[0].startswith("-"):
        if set(words) & {"-h", "--help"}:
            return say(help_text("dragoman vm create NAME --kernel FILE [options]", ABOUT, KEPT_OPTIONS))
        raise UsageError("vm create: which name? dragoman vm create NAME --kernel FILE [options]")
    kept = Kept(words[0])
    fields, rest = parse(KEPT_OPTIONS, words[1:])
    if rest:
        raise UsageError(f"vm create: what is {rest[0]}?")
    machine_options(fields)
    kept.create(words[1:])
    return 0


def options_of(kept: Kept) -> MachineOptions:
    """Read again in the folder where they were given. Raises MachineError, UsageError."""
    from dragoman.vm import KEPT_OPTIONS, machine_options
    folder, words = kept.options()
    try:
        os.chdir(folder)
    except OSError as error:
        raise KeptError(f"{folder}: {error.strerror}") from None
    fields, _ = parse(KEPT_OPTIONS, words)
    return machine_options({**fields, "name": kept.name})


def start(kept: Kept) -> int:
    from dragoman.vm_host import start as start_host
    kept.options()
    lock = kept.lock()
    if lock is None:
        raise KeptError(f"{kept.name} is running already")
    start_host(kept, options_of(kept), lock)
    return 0


def stop(kept: Kept) -> int:
    """As if its power were cut; returns when its process has ended, which may be before it has answered."""
    with kept.connect() as connection:
        lines = Lines(connection)
        pid = answer(lines, "status")["pid"]
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            return 0
        try:
            with suppress(OSError):         # it has ended, or will be waited for in vain
                lines.write(do="stop")
            if not select.select([process], [], [], STOP_PATIENCE)[0]:
                raise KeptError(f"{kept.name} does not end: kill -9 {pid} does it")
        finally:
            os.close(process)
    return 0


def _request(do: str) -> Callable[[Kept], int]:
    def run(kept: Kept) -> int:
        kept.ask(do)
        return 0
    return run


def console(kept: Kept) -> int:
    from dragoman.vm_console import console as live
    return live(kept)


def remove(kept: Kept) -> int:
    kept.remove()
    return 0


def list_all(words: list[str]) -> int:
    """dragoman vm list: a line for each machine."""
    if words:
        if words[0] in ("-h", "--help"):
            return say(help_text("dragoman vm list", "Shows the machines that are kept, and whether they run.", ()))
        raise UsageError(f"vm list: what is {words[0]}?")
    rows = [("NAME", "STATE", "PID", "CPUS", "MEMORY", "LAST STATUS")]
    for name in names():
        kept = Kept(name)
        try:
            status = kept.ask("status")
        except KeptError:
            rows.append((name, STOPPED, "", "", "", kept.last_status()))
        else:
            rows.append((name, status["state"], str(status["pid"]), str(status["cpus"]), f"{status['memory'] >> 20}M", kept.last_status()))
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return say("".join("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows))


def _on_one(name: str, text: str, act: Callable[[Kept], int]) -> Callable[[list[str]], int]:
    """A command whose only word is a machine's name."""
    def run(words: list[str]) -> int:
        if words and words[0] in ("-h", "--help"):
            return say(help_text(f"dragoman vm {name} NAME", f"{text[0].upper()}{text[1:]}.", ()))
        if len(words) != 1:
            raise UsageError(f"vm {name}: give one name: dragoman vm {name} NAME")
        return act(Kept(words[0]))
    return run


ON_ONE: dict[str, tuple[Callable[[Kept], int], str]] = {
    "start": (start, "start a machine in the background"),
    "console": (console, "make this terminal the console of a machine that runs; Ctrl-] q leaves it"),
    "pause": (_request("pause"), "stop its CPUs for a while"),
    "resume": (_request("resume"), "let them go on"),
    "stop": (stop, "end a machine, as if its power were cut"),
    "rm": (remove, "forget a machine that does not run; its disks stay"),
}
COMMANDS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "create": (create, "keep a machine's options under a name"),
    "list": (list_all, "show the machines that are kept, and whether they run"),
    "snapshot": (snapshot, "write a machine's whole state to a file"),
    "restore": (restore, "run a machine on this terminal that goes on from a snapshot"),
    "clone": (clone, "start another machine that goes on from where one is"),
    **{name: (_on_one(name, text, act), text) for name, (act, text) in ON_ONE.items()},
}


def command(name: str, words: list[str]) -> int:
    """Run one of COMMANDS; returns the exit status. Raises UsageError."""
    try:
        return COMMANDS[name][0](words)
    except MachineError as error:
        complain(f"vm {name}: {error}")
        return error.status
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        complain(f"vm {name}: {os.fsdecode(error.filename or '')}: {error.strerror}")
        return 1
