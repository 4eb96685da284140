"""`evalkit quickstart`: a reward learnt in a small world, optimised until the truth turns."""
