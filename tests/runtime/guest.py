"""A guest process without a CPU: memory, files, paths and limits, and a thread whose host calls are made directly."""

from types import SimpleNamespace

from dragoman.dbt import decode
from dragoman.runtime.memory.space import AddressSpace
from dragoman.runtime.memory.window import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE
from dragoman.runtime.options import RunOptions
from dragoman.runtime.process.elf import Image
from dragoman.runtime.process.linux import host, table
from dragoman.runtime.process.linux.descriptors import Descriptors
from dragoman.runtime.process.linux.generic import NUMBER
from dragoman.runtime.process.linux.limits import Limits
from dragoman.runtime.process.linux.paths import Paths

WINDOW = 1 << 32
BUFFERS = 0x10_0000         # where the guest of a test has its structures
ROOM = 1 << 20
MASK = (1 << 64) - 1


class Engine:
    """Notes what it is told of executable memory."""

    def __init__(self):
        self.ranges, self.told, self.looked = {}, [], 0
        self.host = self.image = self

    @staticmethod
    def blob(name):
        """As its image has it."""
        return {"decoder": decode.tables}[name]()

    @staticmethod
    def in_turn(*steps):
        return [host.call(*step) for step in steps]

    def set_precise(self):
        self.told.append(("precise",))

    def set_executable(self, start, end, changeable):
        self.told.append(("set", start, end, changeable))
        for page in range(start, end, 4096):
            self.ranges[page] = changeable

    def clear_executable(self, start, end):
        self.told.append(("clear", start, end))
        for page in [page for page in self.ranges if start <= page < end]:
            del self.ranges[page]

    def set_shared(self):
        self.told.append(("shared",))

    def code_changed(self, start=0, end=1 << 64):
        self.looked += 1


class Thread:
    """A guest thread to make system calls with: `thread(name, arguments...)`."""

    def __init__(self, sysroot=None, **options):
        memory = AddressSpace(WINDOW)
        memory.engine = Engine()
        files = Descriptors()
        self.lines = []
        self.process = SimpleNamespace(
            memory=memory, engine=memory.engine, files=files, limits=Limits(), paths=Paths(sysroot, files),
            options=RunOptions(**options), image=Image(b"/bin/true"), log=self.lines.append, contexts={}, threads={4711: self})
        self.process.paths.image = self.process.image
        self.tid = 4711
        self.memory = memory
        assert memory.map(BUFFERS, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS) == BUFFERS
        self.free = BUFFERS

    def call(self, number, *arguments):
        return host.call_and_wait(number, *arguments)

    def __call__(self, name, *arguments, perform=table.perform):
        number = name if isinstance(name, int) else NUMBER[name]
        words = tuple([value & MASK for value in arguments])
        return perform(self, number, words + (0,) * (6 - len(words)))

    def put(self, data):
        """Guest address of a copy of these bytes, with a NUL behind."""
        at = self.free
        self.free += len(data) + 16 & -16
        assert self.free <= BUFFERS + ROOM
        self.memory.write(at, data + b"\0")
        return at

    def room(self, size):
        return self.put(bytes(size))

    def close(self):
        for fd in list(self.process.files.own):
            self.process.files.drop(fd)
        self.memory.close()
