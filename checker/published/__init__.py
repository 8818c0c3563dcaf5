"""Published numbers: read, recomputed, and held against each other."""
