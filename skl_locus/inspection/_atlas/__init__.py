"""The model atlas: frames of a pool of models, and the page that shows them."""
