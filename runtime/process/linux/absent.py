"""System calls that are not there on purpose, and why: the reasons stand in docs/syscalls.md."""

from __future__ import annotations

from dragoman.runtime.process.linux.table import absent

absent("its rings hold addresses that the kernel follows behind our back", "io_uring_setup io_uring_enter io_uring_register")
absent("a program for the host's kernel, full of pointers, that would watch the emulator", "bpf")
absent("a filter would be applied to the calls that the emulator makes, with the host's numbers", "seccomp")
absent("it would count and sample what the emulator executes", "perf_event_open")
absent("registers, code and addresses of a traced process would be the emulator's", "ptrace")
absent("it hands out the host's addresses, and the emulator would wait for its own page faults", "userfaultfd")
absent("what copies to and from such memory is refused by the kernel, and calls are given what they work on by copies", "memfd_secret")
absent("exec reuses the process, and could not give back what is sealed", "mseal")
absent("kernel code of the guest's architecture, for a kernel of the host's",
       "init_module finit_module delete_module kexec_load kexec_file_load")
absent("riscv64 has no protection keys: the kernel says the same", "pkey_mprotect pkey_alloc pkey_free")
absent("riscv64 has no shadow stacks in 6.12: the kernel says the same", "map_shadow_stack")
absent("removed from Linux: the kernel says the same", "nfsservctl lookup_dcookie")
