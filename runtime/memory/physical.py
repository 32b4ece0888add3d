"""Guest RAM (temporary)."""
import ctypes
import mmap


class PhysicalMemory:
    def __init__(self, base, size):
        self.base, self.size = base, size
        self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE|mmap.MAP_ANONYMOUS)
        self.host = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self._view = memoryview(self._map)
        self.tell = None
    def attach(self, translation): self.translation = translation
    def read(self, a, n): return bytes(self._view[a-self.base:a-self.base+n])
    def write(self, a, data):
        self._view[a-self.base:a-self.base+len(data)] = data
        self.written(a, len(data))
    def view(self, a, n): return self._view[a-self.base:a-self.base+n]
    def written(self, a, n):
        if self.tell: self.tell(self.translation.address, a, n)
