"""`evalkit evaluate`, `process-eval`, `accuracy` and `aspect-card`: how good a scorer is."""
