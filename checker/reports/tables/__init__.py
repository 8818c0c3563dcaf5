"""The tables of a report, and the words in them."""
