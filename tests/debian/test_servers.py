"""Servers of Debian riscv64 and clients of the host: redis, nginx, OpenSSL."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.command import DRAGOMAN
from tests.debian.roots import ENVIRONMENT, debian_root, run

pytestmark = pytest.mark.debian
NGINX = """{user} worker_processes 2; daemon off; pid nginx.pid; error_log error.log;
events {{ worker_connections 64; }}
http {{
    access_log off; sendfile on; gzip on; gzip_min_length 1;
    client_body_temp_path 1; proxy_temp_path 2; fastcgi_temp_path 3; uwsgi_temp_path 4; scgi_temp_path 5;
    server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""


@pytest.fixture(scope="module")
def root():
    return debian_root("redis-server redis-tools nginx-light openssl".split())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def serving(root, port, argv, folder, limit=120.0):
    """A guest that listens on the port: ready when that accepts a connection, killed at the end if it is still there."""
    with subprocess.Popen([*DRAGOMAN, "run", "-L", str(root), *argv], cwd=folder, env={**os.environ, **ENVIRONMENT},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as server:
        try:
            end = time.monotonic() + limit
            while True:
                assert server.poll() is None, server.stdout.read()
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert time.monotonic() < end
                time.sleep(0.1)
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def ask(stream, *words: str) -> bytes:
    """A command in redis's protocol (RESP); the first line of its reply, or what a bulk string holds."""
    stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
    stream.flush()
    line = stream.readline().rstrip()
    return stream.read(int(line[1:]) + 2)[:-2] if line.startswith(b"$") else line


def test_redis(root, tmp_path):
    """Commands, Lua inside the server, a snapshot by a forked child, redis-benchmark with 50 connections, and an orderly end."""
    port = free_port()
    argv = ["/usr/bin/redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    with (serving(root, port, argv, tmp_path) as server, socket.create_connection(("127.0.0.1", port)) as connection,
          connection.makefile("rwb") as stream):
        assert ask(stream, "PING") == b"+PONG"
        assert ask(stream, "SET", "key", "x" * 100000) == b"+OK"
        assert ask(stream, "GET", "key") == b"x" * 100000
        assert ask(stream, "EVAL", "local s = 0 for i = 1, 100000 do s = s + i end return s", "0") == b":5000050000"
        benchmark = run(root, ["/usr/bin/redis-benchmark", "-p", str(port), "-n", "2000", "-c", "50", "--threads", "2", "-t", "incr,lpush",
                               "--csv"], timeout=300)
        assert benchmark.returncode == 0, benchmark.stderr
        assert [line.split(b",")[0] for line in benchmark.stdout.splitlines()] == [b'"test"', b'"INCR"', b'"LPUSH"']
        assert ask(stream, "GET", "counter:__rand_int__") == b"2000"
        assert ask(stream, "LLEN", "mylist") == b":2000"
        assert ask(stream, "BGSAVE") == b"+Background saving started"
        while b"rdb_bgsave_in_progress:1" in ask(stream, "INFO", "persistence"):
            time.sleep(0.1)
        assert b"rdb_last_bgsave_status:ok" in ask(stream, "INFO", "persistence")
        assert (tmp_path / "dump.rdb").read_bytes().startswith(b"REDIS")
        stream.write(b"SHUTDOWN NOSAVE\r\n")
        stream.flush()
        assert server.wait(60) == 0


def test_nginx(root, tmp_path):
    """Two workers, sendfile, a reload that replaces them, SIGQUIT as the end that waits for clients."""
    port = free_port()
    big = os.urandom(3_000_000)
    (tmp_path / "big").write_bytes(big)
    (tmp_path / "index.html").write_text("hello\n")
    (tmp_path / "nginx.conf").write_text(NGINX.format(
        user="user root;" if os.geteuid() == 0 else "", port=port, folder=tmp_path))     # the folder is its owner's only

    def fetch(path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
            return answer.read()

    with serving(root, port, ["/usr/sbin/nginx", "-p", str(tmp_path), "-e", "error.log", "-c", "nginx.conf"], tmp_path) as server:
        with ThreadPoolExecutor(8) as clients:
            assert set(clients.map(fetch, [""] * 100)) == {b"hello\n"}
            assert set(clients.map(fetch, ["big"] * 8)) == {big}
        server.send_signal(signal.SIGHUP)
        assert fetch("") == b"hello\n"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch("nothing")
        server.send_signal(signal.SIGQUIT)
        assert server.wait(60) == 0
    assert [line for line in (tmp_path / "error.log").read_text().splitlines() if "open()" not in line] == []


def test_openssl_serves_tls(root, tmp_path):
    """The guest makes key and certificate; the host's client verifies them and talks by each version of the protocol."""
    made = run(root, ["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-subj",
                      "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"], cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    port = free_port()
    with serving(root, port, ["/usr/bin/openssl", "s_server", "-accept", str(port), "-cert", "cert.pem", "-key", "key.pem", "-www"], tmp_path):
        for name, version in {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}.items():
            context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
            context.minimum_version = context.maximum_version = version
            with (socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
                  context.wrap_socket(plain, server_hostname="localhost") as connection):
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            assert b"HTTP/1.0 200 ok" in answer and f"Protocol  : {name}\n".encode() in answer, answer


@pytest.mark.parametrize("digest", ["md5", "sha1", "sha256", "sha512", "sha3-256", "blake2b512"])
def test_openssl_digests(root, tmp_path, digest):
    data = hashlib.shake_128(b"").digest(1_000_000)
    (tmp_path / "data").write_bytes(data)
    done = run(root, ["/usr/bin/openssl", "dgst", f"-{digest}", "-r", "data"], cwd=tmp_path)
    assert done.stdout.split()[0].decode() == hashlib.new(digest, data).hexdigest()


def test_openssl_speed(root):
    """It measures in forked children, by alarm signals that end a loop."""
    done = run(root, ["/usr/bin/openssl", "speed", "-seconds", "1", "-bytes", "1024", "-multi", "2", "-mr", "sha256"], timeout=120)
    last = done.stdout.splitlines()[-1].split(b":")
    assert done.returncode == 0 and last[0] == b"+F" and last[2] == b"sha256" and float(last[3]) > 100_000, done.stdout + done.stderr
