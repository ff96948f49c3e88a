"""The soak: four hosts, real sshd, real consumers, faults for as long as asked, and a checker of the history.

`python -m tests.soak --minutes 30 --messages 50000 --faults 500` runs it; `make soak` does, too.
"""
