"""RouterPolicy: cost weights and floors fitted to held-out queries."""
