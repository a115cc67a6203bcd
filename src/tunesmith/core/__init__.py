"""The nouns and contracts that every other room may know. Nothing here imports another room."""
