"""`evalkit rank`: a leaderboard of systems, and which of them are tied."""
