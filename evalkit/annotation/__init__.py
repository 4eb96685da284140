"""`evalkit annotate` and `evalkit labels`: annotation studies with people, from tasks to statistics."""
