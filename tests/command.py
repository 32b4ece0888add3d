"""The dragoman command of this source tree, installed or not."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python(code: str) -> list[str]:
    """The command that runs this code as the launcher would, with the packages of this tree."""
    return [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"]


DRAGOMAN = python("from dragoman.start import main; main()")


def dragoman(*words: str, **options) -> subprocess.CompletedProcess:
    """Run the command with these words; options as of subprocess.run, output captured as text."""
    return subprocess.run([*DRAGOMAN, *words], **{"capture_output": True, "text": True, "timeout": 60} | options)
