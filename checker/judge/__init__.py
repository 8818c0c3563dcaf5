"""Stored evidence -> figures, verdicts and findings."""
