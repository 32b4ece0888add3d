"""A machine for gdb: target.py is a machine as a session (runtime/gdb) sees it, server.py its socket."""
