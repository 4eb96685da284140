"""What gives scores: rules, ensembles, and models of outcomes, steps and aspects."""
