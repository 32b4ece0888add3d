"""The user-mode network of a machine: frames made by hand on the guest's side, real sockets on the host's."""
