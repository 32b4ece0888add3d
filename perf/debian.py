"""Debian's riscv64 programs with known output, for measurements here and for tests of what they print.

A root (a folder with these programs and their libraries) is made by tests/real/fetch.py from PACKAGES. What they print is
in debian.json: the same for every architecture.
"""

from __future__ import annotations

import glob
import json
from pathlib import Path
from typing import NamedTuple

EXPECTED = Path(__file__).with_name("debian.json")
PACKAGES = ("busybox-static bash coreutils python3-minimal libpython3-stdlib sqlite3 lua5.4 perl-base gzip bzip2 xz-utils "
            "mawk sed grep openssl bc file").split()
PY, LUA, PERL, SH = "usr/bin/python3.13", "usr/bin/lua5.4", "usr/bin/perl", "usr/bin/busybox"

PY_NBODY = """
def run(n):
    x=[0.0,4.84,8.34,12.89]; v=[0.0,0.6,-1.01,1.08]; m=[39.47,0.037,0.011,0.0017]
    for _ in range(n):
        for i in range(4):
            for j in range(i+1,4):
                d=x[i]-x[j]; f=0.001/(d*d+0.5)**1.5; v[i]-=d*m[j]*f; v[j]+=d*m[i]*f
        for i in range(4): x[i]+=0.001*v[i]
    return x
print(['%.12f'%a for a in run(120000)])
"""
PY_JSON = """
import json
d={'k%d'%i:{'a':[i,i*2.5,str(i)],'b':None,'c':i%2==0} for i in range(4000)}
for _ in range(6): d=json.loads(json.dumps(d,sort_keys=True))
print(len(json.dumps(d)))
"""
PY_WORDS = """
import re,collections
t=' '.join('w%d'%((i*7919)%997) for i in range(200000))
c=collections.Counter(re.findall(r'w\\d+',t)); print(c.most_common(3), len(re.sub(r'(w\\d)(\\d*)',r'\\2\\1',t)))
"""
PY_THREADS = """
import threading,queue
q=queue.Queue(); r=[]
def work():
    while (n:=q.get()) is not None: r.append(sum(i*i for i in range(n)))
t=[threading.Thread(target=work) for _ in range(4)]
[a.start() for a in t]; [q.put(2000+i) for i in range(60)]; [q.put(None) for _ in t]; [a.join() for a in t]
print(sum(r),len(r))
"""
PY_SUBPROCESS = """
import os,signal,time
r,w=os.pipe(); p=os.fork()
if p==0: os.write(w,b'child %d'%(os.getppid()>0)); os._exit(7)
print(os.waitpid(p,0)[1]>>8, os.read(r,20)); got=[]
signal.signal(signal.SIGUSR1,lambda *a: got.append(a[0])); os.kill(os.getpid(),signal.SIGUSR1)
signal.signal(signal.SIGALRM,lambda *a: got.append('alarm')); signal.setitimer(signal.ITIMER_REAL,0.05); time.sleep(0.3); print(got)
"""
PY_SOCKET = """
import socket,threading
s=socket.create_server(('127.0.0.1',0)); out=[]
def serve():
    c,_=s.accept()
    with c:
        while d:=c.recv(4096): c.sendall(d.upper())
t=threading.Thread(target=serve); t.start(); c=socket.create_connection(s.getsockname())
for i in range(200): c.sendall(b'message %d'%i); out.append(c.recv(4096))
c.close(); t.join(); print(len(out),out[-1]); a,b=socket.socketpair(); a.send(b'x'); print(b.recv(1))
"""
SQL = ("CREATE TABLE t(a INTEGER PRIMARY KEY,b,c); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<120000) "
       "INSERT INTO t SELECT i,i*7919%1009,printf('v%d',i%97) FROM n; CREATE INDEX x ON t(b); "
       "SELECT c,count(*),sum(b),avg(a) FROM t GROUP BY c ORDER BY 3 DESC LIMIT 5; SELECT count(*) FROM t u JOIN t v ON u.b=v.a WHERE v.c LIKE 'v1%';")
LUA_MIX = ("local function fib(n) if n<2 then return n end return fib(n-1)+fib(n-2) end print(fib(30)) "
           "local t={} for i=1,200000 do t[i]=(i*7919)%100003 end table.sort(t) print(t[1],t[#t],#t) "
           "local s={} for i=1,60000 do s[#s+1]=string.format('%d:%x',i,i*i) end print(#table.concat(s,','))")
PERL_MIX = ("my %h; for my $i (1..1200000) { my $k='k'.(($i*7919)%5003); $h{$k}+=$i; } my $t=join(' ',map {\"$_=$h{$_}\"} sort keys %h); "
            "my $n=0; $n++ while $t=~/k(\\d)\\d*=\\d*(\\d)/g; (my $u=$t)=~tr/0-9/9876543210/; printf \"%d %d %s\\n\",$n,length($u),substr($u,0,40);")
PY_STEPS = """
import json,sys
for n in range(150):
    d={str(i):[i*n,i/(n+1),'x'*(i%9)] for i in range(400)}
    s=sum(len(k) for k in sorted(json.loads(json.dumps(d)))) if n<75 else sum(i*i%7 for i in range(8000))
    print(n,s,flush=True)
"""
LUA_STEPS = ("io.stdout:setvbuf('no') for n=1,150 do local t={} for i=1,6000 do t[i]=(i*7919*n)%10007 end if n<75 then table.sort(t) end "
             "local s=0 for k=1,6 do for i=1,#t do s=(s*31+t[i])%1000003 end end print(n,s) end")
SH_LOOP = "i=0; s=0; while [ $i -lt 150000 ]; do s=$(( (s*31+i)%1000003 )); i=$((i+1)); done; echo $s"

STEPS = {"python-steps": [PY, "-c", PY_STEPS], "lua-steps": [LUA, "-e", LUA_STEPS]}     # they write as they go along


class Program(NamedTuple):
    """One command: argv[0] is a path in the root; standard input is bytes or the name of what generates them."""

    name: str
    kind: str  # quick (correctness), start (start-up time) or steady (0.2 to 2 s under QEMU)
    argv: list[str]
    stdin: bytes | str

    def input(self) -> bytes:
        return generate(self.stdin) if isinstance(self.stdin, str) else self.stdin


PROGRAMS = [Program(*row) for row in (
    ("busybox-echo", "quick", [SH, "echo", "hello", "world"], b""),
    ("busybox-applets", "quick", [SH, "sh", "-c", "cd /; echo a b c | tr ' ' '\\n' | sort -r | sed s/b/B/; printf '%05d %x\\n' 42 255; expr 6 \\* 7"], b""),
    ("bash-arith", "quick", ["usr/bin/bash", "-c", "declare -A m=([x]=1 [y]=2); echo $((2**40)) ${#m[@]} {1..5}; printf '%q\\n' 'a b'; f() { return 3; }; f; echo $?"], b""),
    ("coreutils-sort", "quick", ["usr/bin/sort", "-rn"], "numbers-small"),
    ("coreutils-sha256", "quick", ["usr/bin/sha256sum"], "numbers-small"),
    ("coreutils-date", "quick", ["usr/bin/date", "-u", "-d", "@86400", "+%F %T"], b""),
    ("sed-grep", "quick", ["usr/bin/sed", "-n", "s/^\\(.*\\)7$/<\\1>/p"], "numbers-small"),
    ("bc-pi", "quick", ["usr/bin/bc", "-l"], b"scale=60; 4*a(1); e(1); s(1); 2^200\n"),
    ("python-hello", "start", [PY, "-S", "-c", "print('hello', 2**100)"], b""),
    ("python-imports", "start", [PY, "-c", "import json,re,collections,datetime,decimal; print(decimal.Decimal(2).sqrt())"], b""),
    ("bash-true", "start", ["usr/bin/bash", "--norc", "-c", "true; echo ok"], b""),
    ("perl-hello", "start", [PERL, "-e", "print \"hello\\n\""], b""),
    ("sqlite-version", "start", ["usr/bin/sqlite3", ":memory:", "select 6*7;"], b""),
    ("lua-hello", "start", [LUA, "-e", "print(1/3, 7//2, math.pi)"], b""),
    ("python-fork-signals", "quick", [PY, "-c", PY_SUBPROCESS], b""),
    ("python-threads", "quick", [PY, "-c", PY_THREADS], b""),
    ("python-sockets", "quick", [PY, "-c", PY_SOCKET], b""),
    ("python-nbody", "steady", [PY, "-c", PY_NBODY], b""),
    ("python-json", "steady", [PY, "-c", PY_JSON], b""),
    ("python-words", "steady", [PY, "-c", PY_WORDS], b""),
    ("sqlite-queries", "steady", ["usr/bin/sqlite3", ":memory:", SQL], b""),
    ("lua-mix", "steady", [LUA, "-e", LUA_MIX], b""),
    ("perl-mix", "steady", [PERL, "-e", PERL_MIX], b""),
    ("busybox-sh-loop", "steady", [SH, "sh", "-c", SH_LOOP], b""),
    ("mawk-count", "steady", ["usr/bin/mawk", "{h[$1%1000]+=$1; n+=length($0)} END {for(i=0;i<1000;i++) s+=h[i]*i; print n, s}"], "numbers"),
    ("gzip", "steady", ["usr/bin/gzip", "-9nc"], "numbers"),
    ("bzip2", "steady", ["usr/bin/bzip2", "-c"], "numbers"),
    ("xz", "steady", ["usr/bin/xz", "-2c", "-T1"], "numbers"),
    ("sort", "steady", ["usr/bin/sort", "-k1,1", "--parallel=1"], "numbers"),
    ("sha512", "steady", ["usr/bin/sha512sum"], "numbers-large"),
    ("openssl-digest", "steady", ["usr/bin/openssl", "dgst", "-sha256"], "numbers-large"),
    ("bc-digits", "steady", ["usr/bin/bc", "-l"], b"scale=900; 4*a(1)\n"),
)]


def generate(name: str) -> bytes:
    """Lines of numbers, as many as the name says."""
    count = {"numbers-small": 2000, "numbers": 400_000, "numbers-large": 6_000_000}[name]
    return b"".join(b"%d\n" % (i * 7919 % 1_000_003) for i in range(count))


def guest_environment(root: Path) -> dict[str, str]:
    """Variables that only the guest may see: a runner that is a Python program must not obey them itself."""
    return {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHOME": str(root / "usr"),
            "PERL5LIB": ":".join(glob.glob(str(root / "usr/lib/*/perl-base")))}


def expectations() -> dict[str, dict]:
    """Name -> SHA-256 of the output, exit status, head of the output."""
    return json.loads(EXPECTED.read_text())
