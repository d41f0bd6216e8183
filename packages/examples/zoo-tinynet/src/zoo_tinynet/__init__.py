"""Tinynet, a model for zoo."""
