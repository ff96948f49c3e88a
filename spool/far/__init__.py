"""Putting spool on a far host, over the user's own ssh login and without root."""
