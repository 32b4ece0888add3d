"""What is left of a guest process that dies of a signal: its core file, a report for whoever asked for one."""
