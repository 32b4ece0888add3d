"""Virtual CPUs of several machines on the host's CPUs: the run queue, its file, and machines beside each other."""
