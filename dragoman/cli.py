"""The dragoman command: reads the command line and hands over to the part that does the work."""

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command line (default: this process's); returns the exit status."""
    print(f"dragoman: not there yet: {sys.argv[1:] if arguments is None else arguments}", file=sys.stderr)
    return 2
