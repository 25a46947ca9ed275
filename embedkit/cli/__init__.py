"""The command line: parse, call, print. The only room that imports click."""

import sys


def main() -> None:
    """Run the command `embedkit` and leave with its exit code."""
    from embedkit.cli.interrupts import hear_once

    try:
        hear_once()
        from embedkit.cli.app import app

        app()
    except KeyboardInterrupt:  # so early or so late that nothing else caught it
        sys.exit(130)
