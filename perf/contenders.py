"""Who runs a workload: each engine of Dragoman, all of them together cold and warm, QEMU, the host itself."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dragoman.guests import Guest
from dragoman.guests.build import BuildError, compile_guest
from dragoman.perf.workloads import RUNNER, Workload
from dragoman.runtime.options import ENGINES

# As the launcher starts it, from the sources that this process was started from.
DRAGOMAN = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
            "from dragoman.start import main; main()"]
QEMU = ("qemu-riscv64", "qemu-riscv64-static")


@dataclass(frozen=True)
class Contender:
    """`options` are of `dragoman run`; None: it is not Dragoman."""

    name: str
    label: str
    text: str
    options: tuple[str, ...] | None = None

    @property
    def compiles_behind(self) -> bool:
        """Whether it may leave the compiler process busy."""
        return self.options is not None and "--engine" not in self.options


CONTENDERS = (
    Contender("interpreter", "interpreter", "no translation", ("--engine", "interpreter")),
    Contender("stencil", "stencil", "each instruction's code copied and patched", ("--engine", "stencil")),
    Contender("no-inline", "no inline", "of machines: stencil, where each sensitive instruction leaves native code",
              ("--engine", "stencil", "--no-inline")),
    Contender("region", "region", "interpreted at first, then whole loops compiled by LLVM, at once",
              ("--engine", "region")),
    Contender("cold", "auto cold", "the default, without what earlier runs compiled of the program", ("--cold",)),
    Contender("warm", "auto warm", "the default, after an earlier run", ()),
    Contender("qemu", "QEMU", "qemu-riscv64 in user mode"),
    Contender("unicorn", "Unicorn", "the library of that name, called from Python; asked for by name, since it takes ten times as long as QEMU, and "
              "for guests that need only write and exit"),
    Contender("native", "native", "built by gcc for this host"),
)
BY_NAME = {contender.name: contender for contender in CONTENDERS}
OF_MACHINES = "no-inline"       # programs have no such instructions
UNICORN = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
           "from dragoman.perf.unicorn_run import main; sys.exit(main(sys.argv[1:]))"]
OF_UNICORN = ("compute", "start", "warmup")     # suites whose guests need no more than what is served there
USUAL = tuple(contender.name for contender in CONTENDERS if contender.name != "unicorn")


class Field:
    """The contenders that are here, and the command with which each runs a workload.

    Builds native programs in `folder`, the first time that each is asked for. `notes` says who is left out, and why.
    """

    def __init__(self, names: Sequence[str], folder: Path):
        self.folder = folder
        self.notes: list[str] = []
        self.qemu = next(filter(None, map(shutil.which, QEMU)), None)
        self.contenders = [contender for contender in CONTENDERS if contender.name in names and contender.name != OF_MACHINES
                           and (contender.name != "region" or contender.name in ENGINES)]
        if "qemu" in names and self.qemu is None:
            self.leave_out("qemu", "qemu-riscv64 is not installed")
        if "unicorn" in names and importlib.util.find_spec("unicorn") is None:
            self.leave_out("unicorn", "the Python package unicorn is not installed")
        self._native: dict[str, Path | None] = {}

    def leave_out(self, name: str, reason: str) -> None:
        label = BY_NAME[name].label
        self.contenders = [contender for contender in self.contenders if contender.name != name]
        self.notes.append(f"{label} is left out: {reason}")

    def command(self, contender: Contender, workload: Workload, *options: str) -> list[str] | None:
        """What runs the workload; None if this contender cannot. `options`: more ones of `dragoman run`."""
        runner = [self.qemu] if contender.name == "qemu" and self.qemu else []
        arguments = [text for word in workload.arguments for text in (runner if word == RUNNER else [word])]
        words = [str(workload.program), *arguments]
        if contender.name == "native":
            native = self._build(workload.guest) if workload.guest else None
            return [str(native), *arguments] if native else None
        if contender.name == "unicorn":
            fits = workload.guest is not None and workload.guest.runtime == "tiny" and workload.suite in OF_UNICORN
            return [*UNICORN, *words] if fits else None
        variables = [word for name, value in workload.environment for word in ("-E", f"{name}={value}")]
        root = ["-L", str(workload.sysroot)] if workload.sysroot else []
        if contender.name == "qemu":
            return [self.qemu, *root, *variables, *words] if self.qemu else None
        assert contender.options is not None
        return [*DRAGOMAN, "run", *contender.options, *options, *root, *variables, *words]

    def _build(self, guest: Guest) -> Path | None:
        if guest.name not in self._native:
            target: Path | None = self.folder / guest.name
            try:
                assert target is not None
                compile_guest(guest, target, native=True)
            except BuildError as error:
                target = None
                reason = str(error).strip().splitlines()[-1]
                if shutil.which("gcc") is None:
                    self.leave_out("native", reason)
                else:
                    self.notes.append(f"native {guest.name} is left out: {reason}")
            self._native[guest.name] = target
        return self._native[guest.name]
