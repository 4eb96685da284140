"""`evalkit compare`: policies against a baseline on the same held-out prompts."""
