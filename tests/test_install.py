"""What pip installs: a built wheel in an environment of its own, and the launcher under a hostile environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT

# Each of these alone keeps a Python that obeys it from starting, or makes it say or do something else.
HOSTILE = {"PYTHONHOME": "/nonexistent", "PYTHONPATH": "/nonexistent", "PYTHONSTARTUP": "/nonexistent",
           "PYTHONSAFEPATH": "1", "PYTHONVERBOSE": "1", "PYTHONINSPECT": "1", "PYTHONWARNINGS": "error",
           "PYTHONPLATLIBDIR": "nonexistent", "PYTHONNOUSERSITE": "1", "PYTHONIOENCODING": "utf-16"}
IMPORT_ALL = """
import importlib.util, pathlib, pkgutil, sys
import dragoman.guests
assert pathlib.Path(dragoman.__file__).is_relative_to(sys.prefix)
for name in ("dbt", "runtime", "perf", "guests", "tests"):
    assert not importlib.util.find_spec(name), name
for module in pkgutil.iter_modules(dragoman.__path__):
    assert module.name == "__main__" or importlib.import_module("dragoman." + module.name)
assert dragoman.guests.find("hello").path.stat().st_size
assert dragoman.guests.find("hello").expected_output
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel of the source tree, built from a copy: a build leaves files beside its sources."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=ignore)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index",
                    "-w", folder, folder / "source"], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A virtual environment with the wheel alone, in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("an environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    install(wheel, pip=("--python", str(folder / "bin/python")))
    return folder


def install(wheel: Path, *where: str, pip: tuple[str, ...] = ()) -> None:
    subprocess.run([sys.executable, "-m", "pip", *pip, "install", "-q", "--no-deps", "--no-index",
                    "--no-warn-script-location", *where, str(wheel)], check=True)


def version(*command, **variables: str) -> str:
    """What `COMMAND --version` prints, on either stream, with only these variables set."""
    done = subprocess.run([*command, "--version"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, cwd="/")
    return f"{done.stdout.strip()} ({done.returncode})"


VERSION = "dragoman 0.1.0 (0)"


def test_wheel_is_importable(environment):
    subprocess.run([environment / "bin/python", "-I", "-c", IMPORT_ALL], check=True, cwd=environment)


def test_launcher(environment):
    assert version(environment / "bin/dragoman") == VERSION


def test_module(environment):
    assert version(environment / "bin/python", "-m", "dragoman") == VERSION


@pytest.mark.parametrize("name", HOSTILE)
def test_launcher_does_not_obey_the_guests_variables(environment, name):
    assert version(environment / "bin/dragoman", **{name: HOSTILE[name]}) == VERSION


def test_launcher_through_links_and_path(environment, tmp_path):
    (tmp_path / "other name").symlink_to(environment / "bin/dragoman")
    (tmp_path / "dragoman").symlink_to("other name")
    assert version(tmp_path / "dragoman", PATH=os.environ["PATH"]) == VERSION
    assert version("dragoman", PATH=f"{tmp_path}:{os.environ['PATH']}") == VERSION
    assert version("env", "dragoman", PATH=f"{environment}/bin:/usr/bin:/bin") == VERSION


def test_launcher_outside_a_virtual_environment(wheel, tmp_path):
    """As pip install --user and --prefix leave it: the packages are in a folder that -I leaves out."""
    install(wheel, "--prefix", str(tmp_path), "--ignore-installed")
    python = Path(sys.executable).resolve()
    assert version(tmp_path / "bin/dragoman", PATH=str(python.parent), PYTHONHOME="/nonexistent") == VERSION


def test_launcher_without_a_python(tmp_path):
    launcher = shutil.copy(ROOT / "bin/dragoman", tmp_path / "dragoman")
    said = version(launcher, PATH="/nonexistent")
    assert "found no Python" in said and said.endswith("(127)")
