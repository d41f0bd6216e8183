"""The ResNet family as a plugin of zoo."""
