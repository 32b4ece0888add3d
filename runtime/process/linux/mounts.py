"""System calls on roots and mounts: the old ones, and those that build a mount step by step (Linux 5.2 and later)."""

from __future__ import annotations

from dragoman.runtime.process.linux.table import hides, passed

# Names are taken as they are: the host's, whose mounts these are. struct mount_attr, mnt_id_req, statmount hold no pointers.
passed("""
    mount string name string uint ptr | umount2 name int | pivot_root name name | open_tree at_fd name flags:at -> fd
    move_mount at_fd name at_fd name uint | fsopen string uint -> fd | fsconfig fd uint string ptr int
    fsmount fd uint uint -> fd | fspick at_fd name uint -> fd | mount_setattr at_fd name flags:at ptr size
    statmount ptr ptr size uint | listmount ptr ptr size uint | chroot path | setns fd int
""")
hides("mount umount2 move_mount setns")
hides("chroot pivot_root", root=True, store=True)
