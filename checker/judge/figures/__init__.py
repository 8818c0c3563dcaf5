"""Answers -> the figures of a report."""
