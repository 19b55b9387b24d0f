"""A counterexample as a file: read, written, compared, run again; locks, and files that are whole at every moment."""
