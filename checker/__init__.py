"""pruneaudit: audits claims that layers of a language model are redundant."""

__version__ = "0.1.0"
