"""`evalkit winrate`: which of two systems is better, and by how much."""
