"""Tests of snapshots: the file, what is kept of each part, machines that go on from one."""
