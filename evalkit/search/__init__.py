"""Search for solutions step by step, guided by a process scorer, with one budget for all methods."""
