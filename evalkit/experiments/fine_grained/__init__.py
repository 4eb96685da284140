"""Aspects learnt from spans against one preference reward."""
