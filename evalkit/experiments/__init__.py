"""Whole experiments, each run by its own command; nothing imports them."""
