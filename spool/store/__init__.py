"""The store: one promise (base), one adapter for each database."""
