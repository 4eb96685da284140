"""`evalkit quickstart`: learns a reward in a small world, and optimises it until the gold reward falls."""
