"""The benchmark: each figure beside its yardstick, measured in the same run."""
