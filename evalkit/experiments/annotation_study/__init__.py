"""People's labels end to end: can a study of labels put a judge right, and do its intervals hold."""
