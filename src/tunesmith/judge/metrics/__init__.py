"""Pure functions from gold and predicted to numbers."""
