"""One task per file: everything that knows what a label means."""
