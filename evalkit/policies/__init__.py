"""Policies: what writes responses to prompts."""
