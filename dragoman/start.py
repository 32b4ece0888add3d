"""What the launcher calls: from here on Ctrl-C ends the process as it would a native one, whatever is still to be imported."""

import _signal


def main() -> None:
    """The command, in a process of its own."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:     # else it is ignored, as by nohup
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from dragoman.cli import main as command
    command()
