"""Use trained weights: the record of what they need, and models ready to call on images."""

from zoo.inference._record import ModelRecord

__all__ = ["ModelRecord"]
