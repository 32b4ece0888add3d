"""Requests of ioctl, as a table: number, name, what the argument is. Guest and host have the same structures."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.table import Thread

ENOTTY, EBADF = 25, 9
# A letter for the argument: p = pointer to memory without pointers in it, i = integer or none, c = ifconf.
TABLE = """
0001 p FIBMAP  0002 p FIGETBSZ  125d p BLKROSET  125e p BLKROGET  125f i BLKRRPART  1260 p BLKGETSIZE
1261 i BLKFLSBUF  1263 p BLKRAGET  1268 p BLKSSZGET  1278 p BLKIOMIN  1279 p BLKIOOPT  127b p BLKPBSZGET
1277 p BLKDISCARD  80081270 p BLKBSZGET  80081272 p BLKGETSIZE64  4b33 p KDGKBTYPE  4b3b p KDGETMODE
4b3a i KDSETMODE  4b44 p KDGKBMODE  4b45 i KDSKBMODE  5603 p VT_GETSTATE  5401 p TCGETS  5402 p TCSETS
5403 p TCSETSW  5404 p TCSETSF  5405 p TCGETA  5406 p TCSETA  5407 p TCSETAW  5408 p TCSETAF  5409 i TCSBRK
540a i TCXONC  540b i TCFLSH  540c i TIOCEXCL  540d i TIOCNXCL  540e i TIOCSCTTY  540f p TIOCGPGRP  5410 p TIOCSPGRP
5411 p TIOCOUTQ  5412 p TIOCSTI  5413 p TIOCGWINSZ  5414 p TIOCSWINSZ  5415 p TIOCMGET  5416 p TIOCMBIS
5417 p TIOCMBIC  5418 p TIOCMSET  5419 p TIOCGSOFTCAR  541a p TIOCSSOFTCAR  541b p FIONREAD  541e p TIOCGSERIAL
541f p TIOCSSERIAL  5420 p TIOCPKT  5421 p FIONBIO  5422 i TIOCNOTTY  5423 p TIOCSETD  5424 p TIOCGETD
5425 i TCSBRKP  5427 i TIOCSBRK  5428 i TIOCCBRK  5429 p TIOCGSID  802c542a p TCGETS2  402c542b p TCSETS2
402c542c p TCSETSW2  402c542d p TCSETSF2  80045430 p TIOCGPTN  40045431 p TIOCSPTLCK  80045432 p TIOCGDEV
40045436 i TIOCSIG  5437 i TIOCVHANGUP  80045438 p TIOCGPKT  80045439 p TIOCGPTLCK  80045440 p TIOCGEXCL
5441 i TIOCGPTPEER  5450 i FIONCLEX  5451 i FIOCLEX  5452 p FIOASYNC  5460 p FIOQSIZE  545d p TIOCGICOUNT
80045200 p RNDGETENTCNT  80247009 p RTC_RD_TIME  400454ca p TUNSETIFF  400454cb i TUNSETPERSIST
800454cf p TUNGETFEATURES  80086601 p FS_IOC_GETFLAGS  40086602 p FS_IOC_SETFLAGS  80087601 p FS_IOC_GETVERSION
c020660b p FS_IOC_FIEMAP  801c581f p FS_IOC_FSGETXATTR  401c5820 p FS_IOC_FSSETXATTR  c0185879 p FITRIM
c0045877 i FIFREEZE  c0045878 i FITHAW  81009431 p FS_IOC_GETFSLABEL  40049409 i FICLONE  4020940d p FICLONERANGE
c0189436 p FIDEDUPERANGE  b701 i NS_GET_USERNS  b702 i NS_GET_PARENT  b703 i NS_GET_NSTYPE  b704 p NS_GET_OWNER_UID
8901 p FIOSETOWN  8902 p SIOCSPGRP  8903 p FIOGETOWN  8904 p SIOCGPGRP  8905 p SIOCATMARK  8906 p SIOCGSTAMP
8907 p SIOCGSTAMPNS  80108906 p SIOCGSTAMP_NEW  80108907 p SIOCGSTAMPNS_NEW  8910 p SIOCGIFNAME  8912 c SIOCGIFCONF
8913 p SIOCGIFFLAGS  8914 p SIOCSIFFLAGS  8915 p SIOCGIFADDR  8916 p SIOCSIFADDR  8917 p SIOCGIFDSTADDR
8918 p SIOCSIFDSTADDR  8919 p SIOCGIFBRDADDR  891a p SIOCSIFBRDADDR  891b p SIOCGIFNETMASK  891c p SIOCSIFNETMASK
891d p SIOCGIFMETRIC  891e p SIOCSIFMETRIC  8921 p SIOCGIFMTU  8922 p SIOCSIFMTU  8923 p SIOCSIFNAME
8924 p SIOCSIFHWADDR  8927 p SIOCGIFHWADDR  8933 p SIOCGIFINDEX  8942 p SIOCGIFTXQLEN  8943 p SIOCSIFTXQLEN
894b p SIOCOUTQNSD  8970 p SIOCGIFMAP
"""
_words = TABLE.split()
REQUESTS = {int(number, 16): (kind, name) for number, kind, name in zip(_words[::3], _words[1::3], _words[2::3])}
NAMES = {number: name for number, (_, name) in REQUESTS.items()}
IFCONF = Struct("<i4xQ")
_named: set[int] = set()


def control(thread: Thread, fd: int, request: int, argument: int) -> int:
    """ioctl. A request that is not in the table may have pointers inside its structure: ENOTTY."""
    kind, name = REQUESTS.get(request, ("", ""))
    memory = thread.process.memory
    if kind == "p":
        return thread.call(NR["ioctl"], fd, request, memory.host(argument))
    if kind == "i":
        if name in ("FIOCLEX", "FIONCLEX") and fd & 0xFFFF_FFFF in thread.process.files.own:
            return -EBADF
        return thread.call(NR["ioctl"], fd, request, argument)
    if kind == "c":
        length, buffer = memory.read_struct(argument, IFCONF)
        own = IFCONF.pack(length, memory.host(buffer))
        result = thread.call(NR["ioctl"], fd, request, address_of(own))
        if result >= 0:
            memory.write(argument, own[:4])
        return result
    result = thread.call(NR["fcntl"], fd, 1, 0)  # F_GETFD: EBADF comes first
    if result < 0:
        return result
    options = thread.process.options
    if request not in _named and (options.strace or "unimp" in options.log):
        _named.add(request)
        thread.process.log(f"ioctl request {request:#x} is not there: ENOTTY")
    return -ENOTTY
