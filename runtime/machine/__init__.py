"""Machine mode: a virtual machine that runs a guest's kernel."""
