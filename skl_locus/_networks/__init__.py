"""Trained networks as numpy arrays, and their training parameters."""
