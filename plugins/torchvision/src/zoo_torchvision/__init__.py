"""torchvision's models for zoo."""
