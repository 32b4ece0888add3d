"""gdb's remote protocol, for whatever can be debugged: protocol, session and conversation know neither machines nor processes."""
