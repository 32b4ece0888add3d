"""The list of which module has which system call is that of the modules."""

import subprocess

from tests.command import python

# In a process of its own, since a module registers its calls once.
PROGRAM = """
from dragoman.runtime.process.linux import table
seen = set()
for module in dict.fromkeys(table.homes().values()):
    __import__(module)
    print(module, *sorted(set(table.SYSCALLS) - seen))
    seen |= set(table.SYSCALLS)
print("listed")
for module in dict.fromkeys(table.homes().values()):
    print(module, *sorted(number for number, home in table.homes().items() if home == module))
"""


def test_each_module_has_the_calls_that_are_said_to_be_there():
    done = subprocess.run(python(PROGRAM), capture_output=True, text=True, check=True)
    there, _, listed = done.stdout.partition("listed\n")
    assert there.splitlines() == listed.splitlines() and len(there.splitlines()) > 20
