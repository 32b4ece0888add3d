"""Processes under gdb: a hub, which is a process of its own, talks to gdb; in each guest process an agent does what the hub asks."""
