"""Hostile input: what may come from others is made up by the million, and what becomes of it is checked."""
