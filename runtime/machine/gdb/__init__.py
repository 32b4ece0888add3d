"""A stub for gdb's remote protocol: protocol and session know no machine, target.py is a machine as they see it."""
