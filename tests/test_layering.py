"""Who may import whom (README.md), what a start may import, and that every file says what it is for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT, python

# Folder -> the folders it may import from, beside itself.
ARROWS = {
    "dragoman": {"perf", "runtime", "dbt", "guests"},
    "perf": {"runtime", "dbt", "guests"},
    "runtime": {"dbt"},
    "dbt": set(),
    "guests": set(),
}
# Package -> the only file that may import it.
ONLY_USER = {"capstone": "dbt/decode.py", "llvmlite.binding": "dbt/llvm.py"}
# Each start of a guest would pay for these: the large ones 0.1 s and more, the small ones 2 to 20 ms.
NOT_AT_START = {"numba", "llvmlite", "numpy", "rich", "capstone",
                "argparse", "dataclasses", "enum", "inspect", "re", "typing"}
ALL_FILES = sorted(path for folder in (*ARROWS, "tests") for path in (ROOT / folder).rglob("*.py")
                   if not (folder == "dragoman" and path.relative_to(ROOT).parts[1] in ARROWS))


def package_of(path: str) -> list[str]:
    """Names of the package that a file (relative to the root) is in, as imports see it."""
    folders = path.split("/")[:-1]
    return folders if folders[0] in ("dragoman", "tests") else ["dragoman", *folders]


def imports(source: str, path: str) -> set[str]:
    """Absolute names of all that the source of a file imports, at any depth; `from a import b` gives a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = package_of(path)
            base = package[:len(package) - node.level + 1] if node.level else []
            module = ".".join(base + (node.module.split(".") if node.module else []))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def violations(source: str, path: str) -> list[str]:
    """What a file imports and may not, a line each."""
    folder, wrong = path.split("/")[0], []
    for name in sorted(imports(source, path)):
        parts = name.split(".")
        if parts[0] in ARROWS and parts[0] != "dragoman":
            wrong.append(f"{path}: {name}: say dragoman.{parts[0]} (a taken or common name of its own)")
        if parts[0] == "tests" and folder in ARROWS:
            wrong.append(f"{path}: {name}: tests are not installed")
        if parts[0] == "dragoman" and folder in ARROWS:
            target = parts[1] if len(parts) > 1 and parts[1] in ARROWS else "dragoman"
            if target != folder and target not in ARROWS[folder]:
                wrong.append(f"{path}: {name}: {folder} may not import {target}")
        for package, user in ONLY_USER.items():
            if f"{name}.".startswith(f"{package}.") and folder in ARROWS and path != user:
                wrong.append(f"{path}: {name}: only {user} may import {package}")
    return wrong


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_arrows(path):
    assert violations(path.read_text(), str(path.relative_to(ROOT))) == []


@pytest.mark.parametrize(("path", "source"), [
    ("dbt/x.py", "import dbt"),
    ("dragoman/x.py", "import perf.report"),
    ("tests/x.py", "from guests import find"),
    ("dbt/isa/riscv/x.py", "from dragoman.runtime import options"),
    ("dbt/x.py", "from ..runtime import options"),
    ("dbt/x.py", "from dragoman import __version__"),
    ("dbt/x.py", "import dragoman"),
    ("runtime/process/x.py", "def late():\n    from dragoman.perf.report import table"),
    ("runtime/x.py", "from dragoman import guests"),
    ("guests/x.py", "import dragoman.dbt.state"),
    ("perf/x.py", "from dragoman.cli import main"),
    ("dbt/x.py", "import capstone"),
    ("dbt/x.py", "from capstone import Cs"),
    ("runtime/x.py", "from llvmlite import binding"),
    ("dbt/x.py", "import llvmlite.binding as llvm"),
    ("perf/x.py", "from tests.command import ROOT"),
])
def test_a_wrong_import_is_found(path, source):
    assert len(violations(source, path)) == 1


@pytest.mark.parametrize(("path", "source"), [
    ("dbt/isa/riscv/x.py", "from ... import recipe\nfrom ...recipe import Recorder\nfrom . import forms"),
    ("runtime/process/x.py", "from dragoman.dbt.state import LAYOUT\nfrom ..memory import window"),
    ("perf/x.py", "import dragoman.guests, dragoman.runtime.options"),
    ("dragoman/x.py", "from dragoman.perf import command"),
    ("dbt/llvm.py", "import llvmlite.binding"),
    ("dbt/lower.py", "from llvmlite import ir"),
    ("dbt/decode.py", "import capstone"),
])
def test_a_right_import_is_let_through(path, source):
    assert violations(source, path) == []


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_line_1_says_what_the_file_is_for(path):
    source = path.read_text()
    assert source.startswith(('"""', 'r"""')) and ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["run", "--help"], ["cache", "--help"]], ids=" ".join)
def test_a_start_imports_nothing_slow(words):
    code = f"""
before = set(sys.modules)  # a path file of the environment may have imported anything
from dragoman.cli import command
command({words!r})
print("modules:", *(set(sys.modules) - before))
"""
    output = subprocess.run(python(code), capture_output=True, text=True, check=True).stdout
    modules = output.rpartition("modules:")[2].split()
    assert "dragoman.cli" in modules
    assert NOT_AT_START & set(modules) == set()


def test_packages_are_links_to_the_folders_beside():
    for folder in ARROWS.keys() - {"dragoman"}:
        link = Path(ROOT, "dragoman", folder)
        assert link.is_symlink() and link.readlink() == Path("..", folder)
    assert sys.modules.keys().isdisjoint(ARROWS.keys() - {"dragoman"})
