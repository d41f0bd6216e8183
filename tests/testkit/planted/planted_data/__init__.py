"""Class names of planted weights."""
