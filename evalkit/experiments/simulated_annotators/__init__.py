"""Simulated people who answer annotation tasks over HTTP, in a world whose truth is known."""
