"""Verdicts in files and tables: our format and other tools', members of juries, training rows."""
