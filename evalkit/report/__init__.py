"""Figures and tables of measured results."""
