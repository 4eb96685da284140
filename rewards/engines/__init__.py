"""Where a scorer runs."""
