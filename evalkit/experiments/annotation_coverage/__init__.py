"""How often the intervals of annotation studies hold the truth."""
