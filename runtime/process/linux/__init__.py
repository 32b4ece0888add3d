"""The Linux system-call interface, as tables per ABI."""
