"""One further loss term per file."""
