"""Runs a fake machine as `dragoman vm run` does: its guest echoes what is typed, and obeys some bytes.

arguments: what options it has, as --timeout
"""

import faulthandler
import os
import sys

from dragoman.cli import main
from dragoman.runtime.machine.options import MachineOptions
from dragoman.vm import RUN_ONLY, SEEING_OPTIONS, parse
from dragoman.vm_run import run_here
from tests.vm.fake import Machine


class EchoMachine(Machine):
    """The guest: P powers off with 7, C crashes, A aborts this process."""

    def __init__(self, options):
        super().__init__(options=options)
        self.console.on_resize = lambda columns, rows: self.console.write(b"<%dx%d>" % (columns, rows))

    def echo(self):
        for byte in self.console.read(100):
            if byte == ord("A"):
                os.abort()
            if byte == ord("P"):
                self.power_off(7)
            if byte == ord("C"):
                self.crash("the guest is stuck")
            self.console.write(b"[%02x]" % byte)

    def start(self):
        self.console.write(b"<runs>")
        self.console.on_input = self.echo
        self.echo()             # what came before


def command(words):
    return run_here(MachineOptions(**parse((*RUN_ONLY, *SEEING_OPTIONS), words)[0]), EchoMachine)


if __name__ == "__main__":
    faulthandler.disable()
    sys.modules["dragoman.cli"].command = command
    main()
