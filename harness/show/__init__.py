"""A limit and its verdicts for a person."""
