"""The commands on snapshots of machines: snapshot, restore, clone."""

from __future__ import annotations

import os

from dragoman.arguments import Option, UsageError, help_text, parse
from dragoman.cli import say
from dragoman.runtime.machine.control import Lines
from dragoman.runtime.machine.options import MachineError, MachineOptions
from dragoman.vm_store import HostError, Kept, KeptError, answer

STOP = Option("--stop", "stop", "end the machine with the snapshot: it changes its disks no more, so that they stay what the snapshot relies on")
HELP = Option("-h --help", "help", "print this")


def snapshot(words: list[str]) -> int:
    """dragoman vm snapshot NAME FILE [--stop]"""
    usage = "dragoman vm snapshot NAME FILE [--stop]"
    named = [word for word in words if not word.startswith("-")]
    fields, rest = parse((STOP, HELP), [word for word in words if word.startswith("-")])
    if "help" in fields:
        return say(help_text(usage, "Writes the whole state of a machine that runs in the background to a file. The machine goes on.", (STOP, HELP)))
    if len(named) != 2 or rest:
        raise UsageError(f"vm snapshot: give a name and a file: {usage}")
    kept = Kept(named[0])
    kept.ask("snapshot", path=os.path.abspath(named[1]), pause="stop" in fields)
    if "stop" in fields:
        from dragoman.vm_manager import stop
        stop(kept)
    return 0


def restore(words: list[str]) -> int:
    """dragoman vm restore, where it is not `vm run --restore FILE` under another name."""
    from dragoman.vm import CHANGEABLE, ENGINE_OPTIONS, MACHINE_OPTIONS, RUN_ONLY, SEEING_OPTIONS
    usage = "dragoman vm restore FILE [options]"
    if words and words[0] in ("-h", "--help"):
        table = [option for option in (*MACHINE_OPTIONS, *RUN_ONLY) if option.field in (*CHANGEABLE, "timeout")]
        return say(help_text(usage, "Runs a machine on this terminal that goes on from a snapshot. `dragoman vm create NAME --restore FILE` keeps "
                             "one that does so at each start.", (*table, *ENGINE_OPTIONS, *SEEING_OPTIONS)))
    raise UsageError(f"vm restore: which snapshot? {usage}")


def clone(words: list[str]) -> int:
    """dragoman vm clone NAME NEW [options]"""
    from dragoman.vm import CHANGEABLE, MACHINE_OPTIONS
    table = [option for option in MACHINE_OPTIONS if option.field in CHANGEABLE]
    usage = "dragoman vm clone NAME NEW [options]"
    if words and words[0] in ("-h", "--help"):
        return say(help_text(usage, "Starts a machine NEW that goes on from where NAME is now; NAME goes on too. They share the host's memory for "
                             "all pages that neither has written to since. NEW boots anew when it is started again.", table))
    fields, rest = parse(table, words[2:])
    if len(words) < 2 or rest or words[0].startswith("-") or words[1].startswith("-"):
        raise UsageError(f"vm clone: give two names: {usage}")
    source, made = Kept(words[0]), Kept(words[1])
    made.copy(source, words[2:])
    try:
        start_clone(source, made, fields)
    except BaseException:
        made.remove()
        raise
    return 0


def start_clone(source: Kept, made: Kept, changes: dict[str, object]) -> None:
    """Raises MachineError."""
    from dragoman.runtime.machine.snapshot import options_of
    from dragoman.runtime.machine.snapshot_file import SnapshotFile
    from dragoman.vm_host import start
    lock = made.lock()
    if lock is None:
        raise KeptError(f"{made.name} is running already")
    try:
        with source.connect() as connection:
            path = answer(Lines(connection), "clone")["path"]
            saved = SnapshotFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC), source.name)
        options = options_of(saved, {**changes, "name": made.name})
        if options.net is not None and "forward" in options.net and "net" not in changes:
            raise KeptError(f"{source.name} has the forwarded ports already: give the clone its own, --net user,forward=... or --net user")
    except OSError as error:
        os.close(lock)
        raise HostError(f"{source.name}: {error.strerror}") from None
    except MachineError:
        os.close(lock)
        raise

    def make(options: MachineOptions):                  # type: ignore[no-untyped-def]
        from dragoman.runtime.machine.machine import Machine
        return Machine(options, saved=saved)
    start(made, options, lock, make)
    saved.close()
