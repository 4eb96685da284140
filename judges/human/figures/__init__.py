"""How a study goes: speed, checks, sides, agreement, and which labels are a fair sample. Pure."""
