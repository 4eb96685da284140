"""Progress of a study: speed, checks, position bias, agreement, and a fair sample of labels. Pure."""
