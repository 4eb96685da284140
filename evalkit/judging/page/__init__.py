"""What the pages of verdicts share: verdicts to browse, and panels of position."""
