"""Torch blocks and losses that more than one network or system uses."""
