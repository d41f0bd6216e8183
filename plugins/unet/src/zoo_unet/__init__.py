"""U-Nets as a plugin of zoo."""
