"""From stored predictions to numbers with intervals, baselines and a report."""
