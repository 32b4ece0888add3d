"""What all tests share: a cache folder of their own."""

import os
import signal
import tempfile

import tests.real.fetch  # noqa: F401  (it takes the user's cache folder, for its downloads, before that is replaced)

_cache = tempfile.TemporaryDirectory(prefix="dragoman-tests-", ignore_cleanup_errors=True)
# Tests start without what earlier runs left, and leave nothing to later ones.
os.environ["XDG_CACHE_HOME"] = _cache.name
# A shell's job in the background has these ignored, and the guests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
