"""kill -9 at each write and each sync that a real process makes, and what is left then.

`python -m tests.kills [send|consumer|serve|sftp-push|sftp-pull …]` tries all of them.
"""
