"""Process mode: a guest program that sees a system-call interface."""
