"""Progress, processes and threads."""
