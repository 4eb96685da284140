"""Statistics of verdicts: pure, seeded, frozen results that carry their settings."""
