"""An audit file -> ``Audit``, with every mistake in it at once."""
