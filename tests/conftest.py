"""What all tests share: folders of their own for the cache and for what machines share."""

import os
import signal
import tempfile

import tests.real.fetch  # noqa: F401  (it takes the user's cache folder, for its downloads, before that is replaced)

_cache = tempfile.TemporaryDirectory(prefix="dragoman-tests-", ignore_cleanup_errors=True)
# Tests start without what earlier runs left, and leave nothing to later ones.
os.environ["XDG_CACHE_HOME"] = _cache.name
# Their machines share the host's CPUs with one another, not with this user's.
os.environ["XDG_RUNTIME_DIR"] = f"{_cache.name}/run"
# A shell's job in the background has these ignored, and the guests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
