"""Torch code: networks, training and inference. Imported lazily."""
