"""The HTTP service over one bundle."""
