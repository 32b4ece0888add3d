"""Builds the guests: python guests/build.py [NAME...] [--record] [--check]."""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
RISCV64, NATIVE, QEMU = "riscv64-linux-gnu-gcc", "gcc", "qemu-system-riscv64"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}

if not __package__:  # run as a script
    sys.path.insert(0, str(HERE.parent))
    __package__ = HERE.name
from . import MACHINE, Guest, expected_file, find, machines, manifest, programs, said  # noqa: E402


class BuildError(Exception):
    """Something that the user can put right; the text says how."""


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=HERE / "src")
    if done.returncode:
        raise BuildError(f"{' '.join(command)}\n{done.stderr.strip()}")
    return done.stdout


@cache
def _need(compiler: str) -> str:
    if not shutil.which(compiler, path=ENVIRONMENT["PATH"]):
        package = {RISCV64: "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross", NATIVE: "gcc libc6-dev", QEMU: "qemu-system-misc"}[compiler]
        raise BuildError(f"{compiler} is not here: apt install {package}")
    return compiler


@cache
def toolchain(runtime: str) -> str:
    """Versions of all that decides the bytes of a binary: compiler, linker and, for "libc", the C library."""
    compiler = _need(RISCV64)
    linker = _run([_run([compiler, "-print-prog-name=ld"]).strip(), "--version"]).splitlines()[0].split()[-1]
    text = f"{_run([compiler, '--version']).splitlines()[0]}, ld {linker}"
    if runtime == "libc":
        library = Path(_run([compiler, "-print-file-name=libc.a"]).strip())
        text += f", libc.a {hashlib.sha256(library.read_bytes()).hexdigest()[:12]}"
    return text


def compile_guest(guest: Guest, target: Path, native: bool = False) -> None:
    """Builds one guest at target, for riscv64 or for this machine; BuildError carries the compiler's own words."""
    flags = manifest()["flags"]
    compiler = _need(NATIVE if native else RISCV64)
    runtime = flags[f"{'native' if native else 'riscv64'}-{guest.runtime}"].split()
    assembly = guest.sources[0].suffix == ".S"
    if assembly and native:
        runtime = ["-nostdlib", "-static"]
    sources = [str(source.relative_to(HERE / "src")) for source in guest.sources]
    options = [*flags["common"].split(), *guest.flags.split(), *runtime]
    options.sort(key=lambda option: option.startswith("-l"))  # libraries come last, and options before files
    first_library = next((i for i, option in enumerate(options) if option.startswith("-l")), len(options))
    options[first_library:first_library] = ["-o", str(target), *sources]
    _run([compiler, *options])


def run_guest(command: list[str], timeout: float = 120) -> tuple[bytes, int]:
    """Output and exit status as a shell sees it, in an empty folder, with nothing to read."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                cwd=folder,
                timeout=timeout,
                env={"PATH": os.environ.get("PATH", "")},
            )
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"{' '.join(command)}: did not end in {timeout:.0f} s") from error
    return done.stdout, done.returncode if done.returncode >= 0 else 128 - done.returncode


def set_value(text: str, name: str, key: str, value: str | int) -> str:
    """The manifest's text with one value of one guest set, all else as it was."""
    head, table, rest = re.split(rf"^(\[guest\.{re.escape(name)}\]\n)", text, maxsplit=1, flags=re.MULTILINE)
    body, blank, tail = rest.partition("\n\n")
    body = body.removesuffix("\n") + "\n"
    line = f'{key} = "{value}"\n' if isinstance(value, str) else f"{key} = {value}\n"
    body, found = re.subn(rf"^{key} = .*\n", lambda _: line, body, flags=re.MULTILINE)
    return head + table + (body if found else body + line) + blank[1:] + tail


def record(guest: Guest, check: bool, folder: Path) -> dict[str, str | int]:
    """Runs a native build: keeps what it printed, or with check compares; returns what the manifest should say."""
    if guest.kind == MACHINE:
        return record_machine(guest, check)
    binary = folder / f"{guest.name}-native"
    compile_guest(guest, binary, native=True)
    for small in (False, True):
        run = find(guest.name, small)
        if small and run.arguments == guest.arguments:
            break
        output, status = run_guest([str(binary), *run.arguments])
        if not check:
            expected_file(guest.name, small).write_bytes(output)
        elif (output, status) != (run.expected_output, run.expected_status):
            raise BuildError(f"{guest.name}: a native run differs from {expected_file(guest.name, small)}")
    return {"status": status}


def machine_command(guest: Guest, harts: int) -> list[str]:
    """The command that runs a machine guest under QEMU, its console on standard output."""
    board = [_need(QEMU), *"-machine virt -bios none -nographic".split(), *guest.qemu_options]
    return [*board, "-smp", str(harts), "-kernel", str(guest.path)]


def as_manual(guest: Guest, output: bytes) -> bytes:
    """What QEMU's output is with the groups that the manifest says 7.2 fails in: a line for each, in place of those that say how."""
    output = said(output)
    for name in guest.fails_on_qemu:
        output = re.sub(rb"(FAIL %s: .*\n)+" % re.escape(name).encode(), f"ok {name}\n".encode(), output)
    return output


def record_machine(guest: Guest, check: bool) -> dict[str, str | int]:
    """As record(), for a machine guest, under QEMU; raises BuildError where a check fails."""
    for harts in guest.harts:
        printed, status = run_guest(machine_command(guest, harts))
        output = as_manual(guest, printed)
        if b"FAIL" in output or status != (b"FAIL" in printed):
            raise BuildError(f"{guest.name}: status {status} on {harts} harts\n{output.decode(errors='replace')}")
        if not check:
            expected_file(guest.name, False).write_bytes(output)
        elif output != guest.expected_output:
            raise BuildError(f"{guest.name}: a run on {harts} harts differs from {expected_file(guest.name, False)}")
    return {"status": 0}


def build(guest: Guest, check: bool, folder: Path) -> dict[str, str | int]:
    """Builds the riscv64 binary in its place, or with check aside; returns what the manifest should say."""
    binary = folder / guest.name
    compile_guest(guest, binary)
    digest = hashlib.sha256(binary.read_bytes()).hexdigest()
    made_by = toolchain(guest.runtime)
    if not check:
        shutil.copy(binary, guest.path)
    elif made_by != guest.toolchain:
        print(f"{guest.name}: builds; not compared, the manifest's was made by {guest.toolchain or 'nobody'}")
    elif digest != guest.sha256:
        raise BuildError(f"{guest.name}: the build differs from the prebuilt binary")
    return {"toolchain": made_by, "sha256": digest}


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the guests for riscv64.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="programs; all if none is given")
    parser.add_argument("--record", action="store_true", help="also build natively (machine guests: take QEMU), run, and keep the output")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where something differs")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            guests = [find(name) for name in options.names] or programs() + machines()
        except KeyError as error:
            parser.error(error.args[0])
        for guest in guests:
            try:
                values = build(guest, options.check, Path(folder))
                if options.record:
                    values |= record(guest, options.check, Path(folder))
            except BuildError as error:
                print(f"build.py: {error}", file=sys.stderr)
                failed = 1
                continue
            if not options.check:
                text = (HERE / "manifest.toml").read_text()
                for key, value in values.items():
                    text = set_value(text, guest.name, key, value)
                (HERE / "manifest.toml").write_text(text)
    return failed


if __name__ == "__main__":
    sys.exit(main())
