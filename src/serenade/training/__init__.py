"""Batches, the System protocol, the feature cache, the loop, checkpoints."""
