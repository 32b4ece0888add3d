"""Standard output of commands that write texts of their own: what goes wrong there is one line and a failing exit status.

Not of a guest's run, where it is the guest's; so nothing here is imported at the start of one.
"""

from __future__ import annotations

import os
import sys
from _signal import SIGPIPE
from errno import EBADF, EPIPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TextIO

FAILED = 1                              # exit status


class OutputError(Exception):
    """Standard output does not take what is written, for the reason `number` (errno). No OSError: what handles those looks for files."""

    def __init__(self, number: int | None) -> None:
        super().__init__(f"standard output: {os.strerror(number or 0)}")
        self.number = number


class Output:
    """Stands where sys.stdout was, which is None if it was closed. Raises OutputError."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def write(self, text: str) -> int:
        if self._file is None:
            raise OutputError(EBADF)
        try:
            return self._file.write(text)
        except OSError as error:
            raise OutputError(error.errno) from None

    def flush(self) -> None:
        try:
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            raise OutputError(error.errno) from None

    def isatty(self) -> bool:
        return self._file is not None and self._file.isatty()

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if self._file is None:
            raise OutputError(EBADF)
        return getattr(self._file, name)


def guarded(command: Callable[..., int], *arguments: object) -> int:
    """Its exit status, or that of output which failed, after a line; without one where the reader has gone, as a native program."""
    if not isinstance(sys.stdout, Output):
        sys.stdout = Output(sys.stdout)         # type: ignore[assignment]
    try:
        try:
            return command(*arguments)
        finally:
            sys.stdout.flush()                  # what is buffered may not be taken, either
    except OutputError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)    # for what still is
        if error.number == EPIPE:
            return 128 + SIGPIPE
        os.write(2, f"dragoman: {error}\n".encode())
        return FAILED
