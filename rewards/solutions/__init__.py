"""A solution's steps and its final answer."""
