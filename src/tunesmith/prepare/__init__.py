"""From a file to encodings: reading, splitting, auditing, aligning labels with sub-words, batching."""
