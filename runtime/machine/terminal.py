"""The host's terminal while a machine's console is on it: raw, and as it was again however this process ends."""

from __future__ import annotations

import os
import signal
import termios

IFLAG, OFLAG, CFLAG, LFLAG, ISPEED, OSPEED, CC = range(7)       # places in what tcgetattr gives
INPUT_OFF = (termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR | termios.ICRNL
             | termios.IXON)
LOCAL_OFF = termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN


class Terminal:
    """A terminal of this process. From construction on, a child watches: when this process is killed or crashes, the child
    sets the terminal back. So make it before other threads run."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._saved = termios.tcgetattr(descriptor)
        self._raw = False
        self._guard, self._lifeline = self._watch()

    def raw(self) -> None:
        """Each key goes to the guest as it is, Ctrl-C too. Output is processed as before: a guest's line feed starts a line."""
        modes: list = [*self._saved[:CC], list(self._saved[CC])]
        modes[IFLAG] &= ~INPUT_OFF
        modes[LFLAG] &= ~LOCAL_OFF
        modes[CFLAG] = modes[CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        modes[CC][termios.VMIN], modes[CC][termios.VTIME] = 1, 0
        termios.tcsetattr(self.descriptor, termios.TCSADRAIN, modes)
        self._raw = True

    def restore(self) -> None:
        """As it was, for now: raw() may follow."""
        if self._raw:
            self._raw = False
            try:
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._saved)
            except termios.error:
                return          # the terminal is gone

    def close(self) -> None:
        """As it was, for good."""
        self.restore()
        guard, self._guard = self._guard, 0
        if guard:
            os.write(self._lifeline, b"x")
            os.close(self._lifeline)
            os.waitpid(guard, 0)

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        size = os.get_terminal_size(self.descriptor)
        return size.columns, size.lines

    def _watch(self) -> tuple[int, int]:
        """Process id of the child, and the pipe whose end without a byte tells it that this process is gone."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child:
            os.close(reading)
            return child, writing
        try:                    # a session of its own: no signal for this job, and none of the terminal's, reaches it
            os.setsid()
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            for name in os.listdir("/proc/self/fd"):    # it must not keep pipes and locks of this process open
                if int(name) not in (reading, self.descriptor):
                    os.closerange(int(name), int(name) + 1)
            if os.read(reading, 1) == b"":
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._saved)
        finally:
            os._exit(0)
