"""timm's models for zoo."""
