"""Which answer is better: pairwise verdicts and their statistics. Imports rewards only."""
