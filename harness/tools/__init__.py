"""Progress, processes, threads and whole files."""
