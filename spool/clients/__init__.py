"""The programs that agents run in: what is written into their settings, and how it is undone."""
