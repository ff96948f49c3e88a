"""`python -m spool.cli`, the same as `spool`."""

from spool.cli import main

main()
