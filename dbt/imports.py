"""The lock of imports that happen while the guest runs.

A thread that imports holds a lock of Python's per module, which a fork's child would find held for ever by a thread it
lacks. So whoever imports while the guest runs holds this lock, and so does whoever forks. Loading a library takes such a lock of libc's.
"""

from __future__ import annotations

import _thread

IMPORTS = _thread.RLock()
