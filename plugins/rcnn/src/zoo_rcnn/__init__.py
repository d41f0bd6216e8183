"""The R-CNN lineage as a plugin of zoo."""
