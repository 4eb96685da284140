"""`evalkit generate`, `score`, `select` and `combine`: from prompts to chosen responses."""
