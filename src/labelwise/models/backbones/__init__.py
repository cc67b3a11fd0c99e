"""Backbones: from a batch of items to features, and what their items look like before."""
