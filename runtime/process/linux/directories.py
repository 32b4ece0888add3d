"""System calls that change names and attributes in the file system, extended attributes."""

from __future__ import annotations

from dragoman.runtime.process.linux.table import passed

# Something new is made where its name says; something that exists is looked for under the guest's root first.
passed("""
    mkdirat at_fd name mode | mknodat at_fd name mode uint | symlinkat string at_fd name | unlinkat at_fd link flags:at
    linkat at_fd link at_fd name flags:at | renameat2 at_fd link at_fd name flags:rename | truncate path size
    fchmodat at_fd path mode | fchmodat2 at_fd path mode at | fchownat at_fd path uint uint at
    utimensat at_fd path struct:timespecs at
    setxattr path string ptr size int | lsetxattr link string ptr size int | fsetxattr fd string ptr size int
    getxattr path string ptr size | lgetxattr link string ptr size | fgetxattr fd string ptr size
    listxattr path ptr size | llistxattr link ptr size | flistxattr fd ptr size
    removexattr path string | lremovexattr link string | fremovexattr fd string
    name_to_handle_at at_fd link ptr ptr int | open_by_handle_at fd ptr flags:open -> fd
""")
