"""System calls by which a machine is administered, its security modules asked, and a process restricts itself."""

from __future__ import annotations

from dragoman.runtime.process.linux.table import hides, passed

# struct if_dqblk, fs_disk_quota and lsm_ctx are the same on all 64-bit ABIs.
passed("""
    swapon path int | swapoff path | acct path | quotactl uint path int ptr | quotactl_fd fd uint int ptr | vhangup
    reboot int int uint ptr | syslog int ptr int | lsm_list_modules ptr ptr uint | lsm_get_self_attr uint ptr ptr uint
    lsm_set_self_attr uint ptr uint uint | landlock_create_ruleset ptr size uint -> fd
    landlock_add_rule fd uint ptr uint | landlock_restrict_self fd uint
""")
# The rules bind the emulator as well.
hides("landlock_restrict_self", store=True)
