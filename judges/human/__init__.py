"""People as judges: a blind annotation page, whose labels are kept as events and read as verdicts."""
