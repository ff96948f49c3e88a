"""`python -m spool`, the same as `spool`."""

from spool.cli import main

main()
