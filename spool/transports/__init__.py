"""The transports: one promise (base), one file for each way to reach a peer."""
