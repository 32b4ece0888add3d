"""--net user[,hostname=NAME][,forward=...]: what it says and what is refused."""

import pytest

from dragoman.runtime.machine.network.options import ForwardOptions, NetworkError, NetworkOptions, parse_network


@pytest.mark.parametrize(("text", "options"), [
    ("user", NetworkOptions()),
    ("user,hostname=box-1", NetworkOptions("box-1")),
    ("user,forward=tcp:2222:22", NetworkOptions("", (ForwardOptions("tcp", "127.0.0.1", 2222, 22),))),
    ("user,forward=tcp:0:80,forward=udp:0.0.0.0:53:5353",
     NetworkOptions("", (ForwardOptions("tcp", "127.0.0.1", 0, 80), ForwardOptions("udp", "0.0.0.0", 53, 5353)))),
])
def test_options(text, options):
    assert parse_network(text) == options


@pytest.mark.parametrize("text", [
    "", "tap", "user,", "user,forward", "user,forward=", "user,forward=tcp", "user,forward=tcp:1", "user,forward=sctp:1:2",
    "user,forward=tcp:65536:1", "user,forward=tcp:1:0", "user,forward=tcp:-1:2", "user,forward=tcp:x:2", "user,forward=tcp:1:٣",
    "user,forward=tcp:host:1:2", "user,forward=tcp:::1:2", "user,forward=tcp:1.2.3:1:2", "user,hostname=", "user,hostname=a b",
    "user,hostname=-a", "user,hostname=a-", "user,hostname=" + "a" * 64, "user,speed=1", "user,forward=tcp:999999999999999999999:1",
])
def test_what_is_refused_is_said_in_one_line(text):
    with pytest.raises(NetworkError) as caught:
        parse_network(text)
    assert str(caught.value).startswith("--net") and "\n" not in str(caught.value)
