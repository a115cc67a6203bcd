"""The loop and what it needs: optimizer, schedules, precision, checkpoints."""
