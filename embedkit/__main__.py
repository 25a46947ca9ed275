"""`python -m embedkit` is the command `embedkit`."""

from embedkit.cli import main

main()
