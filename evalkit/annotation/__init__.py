"""`evalkit annotate` and `evalkit labels`: studies with people, from tasks to figures."""
