"""A counterexample as a file: read, written, compared, run again."""
