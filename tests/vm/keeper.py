"""The command line of dragoman, with a guest that echoes what is typed in place of machines."""

import sys
from types import ModuleType

from dragoman.cli import main
from tests.vm.guest import EchoMachine

if __name__ == "__main__":
    module = ModuleType("dragoman.runtime.machine.machine")
    module.Machine = EchoMachine
    sys.modules[module.__name__] = module
    main()
