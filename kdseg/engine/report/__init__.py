"""Pages that tell of runs: one page of one run, and comparisons of several, also as data."""
