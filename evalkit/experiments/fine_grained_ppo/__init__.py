"""Span rewards in PPO against one holistic reward."""
