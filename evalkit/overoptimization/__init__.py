"""Overoptimization: how far a proxy can be optimised before the true quality turns."""
