"""Backups of a home: one file, made while the home is in use, and put back whole or not at all."""
