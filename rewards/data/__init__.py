"""Public data sets as records, one file each, and the recognition of their columns."""
