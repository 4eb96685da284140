"""Children's stories improved by commands alone."""
