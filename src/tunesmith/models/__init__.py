"""Pretrained encoders over flat tokens: our own ragged forward for the BERT families, hosted ones for the rest."""
