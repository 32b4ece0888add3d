"""The user-mode network of a machine: a small internet gateway made of ordinary host sockets, which needs no root rights."""
