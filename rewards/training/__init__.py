"""Fitting reward models: outcome, correctness, process, aspects."""
