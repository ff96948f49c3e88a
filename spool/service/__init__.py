"""Keeping the consumer running: one module for each keeper that a machine may have."""
