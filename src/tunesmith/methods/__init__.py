"""One tuning method per file: which parameters learn and what stands in their way."""
