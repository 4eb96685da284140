"""Search for solutions step by step, guided by a scorer of steps, under one budget for all methods."""
