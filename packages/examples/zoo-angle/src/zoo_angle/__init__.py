"""Angles: a task, a data set, a metric and a model for zoo."""
