"""Pretrained backbones over flat tokens: our own ragged forward for some families, hosted ones for the rest."""
