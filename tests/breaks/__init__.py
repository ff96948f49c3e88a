"""Faults put into a copy of spool on purpose, and the tests that must find each of them."""
