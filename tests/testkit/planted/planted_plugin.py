"""A plugin's module that loads nothing."""
