"""The version of this spool."""

VERSION = "0.1.0"
