"""Shell scripts that put Debian's tools to work, with what they print: recorded from amd64 programs of the same kind."""

from __future__ import annotations

from typing import NamedTuple


class Script(NamedTuple):
    """What dash executes in an empty folder of its own; $PORT is a free TCP port of 127.0.0.1."""

    name: str
    text: str
    output: str
    seconds: float = 300


GIT = r"""
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000001 +0000'
git init -q -b main repository
cd repository
for i in 0 1 2 3 4 5 6 7 8 9; do mkdir $i; done
awk 'BEGIN { for (i = 0; i < 5000; i++) { f = i % 10 "/" i; print i * 7919 % 1000003 "\n" i > f; close(f) } }'
git add .
git commit -q -m first
git rev-parse HEAD 'HEAD^{tree}'
git gc -q
git count-objects -v | grep -E '^(count|in-pack|packs|garbage)'
git fsck --strict
rm 3/3; echo new >4/4
git status --short
cd ..
git daemon --reuseaddr --listen=127.0.0.1 --port=$PORT --base-path=$PWD --export-all --pid-file=pid 2>daemon.log &
until [ -s pid ]; do sleep 0.1; done
git clone -q git://127.0.0.1:$PORT/repository copy
kill $(cat pid)
git -C copy rev-parse HEAD
git -C copy ls-files | wc -l
"""
GIT_OUTPUT = """e00d6ebea06d54183a6728d97a0771d994a0ee8c
025f1a9030f82afd42230f2c9566128f8c5afd54
count: 0
in-pack: 5012
packs: 1
garbage: 0
 D 3/3
 M 4/4
e00d6ebea06d54183a6728d97a0771d994a0ee8c
5000
"""
PERL = r"""
cat >threads.pl <<'END'
use strict; use warnings; use threads; use threads::shared; use Thread::Queue;
my $jobs = Thread::Queue->new(1 .. 200); $jobs->end;
my ($sum, %seen) :shared; %seen = ();
my @workers = map { my $n = $_; threads->create(sub {
    my $done = 0;
    while (defined(my $job = $jobs->dequeue)) {
        my $x = join '', map { chr(97 + $_ * $job % 26) } 1 .. 300;
        (my $y = $x) =~ s/([a-m]+)/length $1/ge;
        { lock $sum; $sum += length $y; }
        { lock %seen; $seen{$job}++; }
        $done++;
    }
    return $done;
}) } 1 .. 4;
my $total = 0; $total += $_->join for @workers;
printf "%d %d %d\n", $total, $sum, scalar grep { $_ == 1 } values %seen;
my ($turn) :shared = 0;
my @players = map { my $me = $_; threads->create(sub {
    for (1 .. 100) { lock $turn; cond_wait $turn until $turn % 2 == $me; $turn++; cond_broadcast $turn; }
}) } 0, 1;
$_->join for @players;
print "$turn turns\n";
my $ready = Thread::Queue->new;
my $t = threads->create(sub { $SIG{KILL} = sub { threads->exit }; $ready->enqueue(1); sleep 1 while 1 });
$ready->dequeue; $t->kill('KILL')->join; print "ended\n";
my $pid = fork; if (!$pid) { exit threads->create(sub { 21 })->join } waitpid $pid, 0; print $? >> 8, "\n";
END
perl threads.pl
"""
PERL_OUTPUT = """200 43437 200
200 turns
ended
21
"""
WRITERS = r"""
for mode in wal delete; do
    sqlite3 $mode.db "PRAGMA journal_mode=$mode; CREATE TABLE t(w, n);"
    for w in 1 2 3 4; do
        awk -v w=$w 'BEGIN { print ".timeout 100000"; for (i = 0; i < 150; i++) printf "INSERT INTO t VALUES(%d, %d);\n", w, i }' | sqlite3 $mode.db &
    done
    wait
    sqlite3 $mode.db 'SELECT w, count(*), sum(n), count(DISTINCT n) FROM t GROUP BY w; PRAGMA integrity_check;'
done
"""
ROWS = "".join(f"{w}|150|11175|150\n" for w in range(1, 5)) + "ok\n"
ARCHIVE = r"""
for d in 1 2 3 4; do mkdir -p tree/$d/deep; done
awk 'BEGIN { for (i = 0; i < 400; i++) { f = "tree/" i % 4 + 1 "/deep/" i; for (j = 0; j < 300; j++) print i * j * 7919 % 100003 > f; close(f) } }'
ln -s ../1/deep/0 tree/2/link; ln tree/1/deep/0 tree/3/hard
printf 'a hole' >tree/sparse; truncate -s 1M tree/sparse
tar --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner --mode=go=u-w -S -cf t.tar tree
sha256sum <t.tar
xz -T2 -1 --block-size=256KiB -k t.tar
xz -lv t.tar.xz | grep -c CRC64
xz -dc -T2 t.tar.xz | cmp - t.tar
mkdir out
tar -C out -xJf t.tar.xz
diff -r --no-dereference tree out/tree && echo same
readlink out/tree/2/link; stat -c %h out/tree/3/hard; stat -c %s out/tree/sparse
gzip -9 -n -c t.tar | gzip -dc | cmp - t.tar
find out -type f -newermt @1699999999 ! -newermt @1700000001 | wc -l
"""
ARCHIVE_OUTPUT = """a8ad827c7850c9a88fafc64b17d7504ff020de8af5c9a37455268deeeb567bbe  -
6
same
../1/deep/0
2
1048576
402
"""
SHELL = r"""
seq 1 20 | while read n; do echo $((n * n)); done | xargs
sh -c 'trap "echo caught; exit 3" TERM; kill -TERM $$; :' & wait $! || echo $?
mkfifo pipe; (for i in 1 2 3; do echo line $i; done >pipe) & cat pipe
bash -c 'sleep 30 & kill -STOP $!; until grep "State:.T" /proc/$!/status; do sleep 0.1; done; kill -CONT $!; kill $!; wait $!; echo $?'
bash -c 'diff <(seq 5) <(seq 6); coproc cat; echo through >&${COPROC[1]}; read -u ${COPROC[0]} x; echo $x; shopt -s extglob; x=aab; echo ${x//+(a)/c}'
cat <<END | sed -n '/b/,$p' | sort -r
a
b
c $(expr 6 \* 7)
END
set -- 'a b' c; for w in "$@"; do printf '<%s>' "$w"; done; echo
sh -c 'exec 3>f; echo three >&3; exec 3>&-; cat f'; ulimit -n 64; ulimit -n
find . -name 'f' -exec sh -c 'echo found $1' sh {} \; | xargs -n 1 -P 2 echo | sort
"""
SHELL_OUTPUT = """1 4 9 16 25 36 49 64 81 100 121 144 169 196 225 256 289 324 361 400
caught
3
line 1
line 2
line 3
State:	T (stopped)
143
5a6
> 6
through
cb
c 42
b
<a b><c>
three
64
./f
found
"""
SCRIPTS = [
    Script("git", GIT, GIT_OUTPUT, 600),
    Script("perl-threads", PERL, PERL_OUTPUT),
    Script("sqlite-writers", WRITERS, f"wal\n{ROWS}delete\n{ROWS}"),
    Script("tar-xz", ARCHIVE, ARCHIVE_OUTPUT),
    Script("shells", SHELL, SHELL_OUTPUT),
]
