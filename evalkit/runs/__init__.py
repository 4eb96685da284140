"""A run: its folder, files and locks, its arguments, and what it prints."""
