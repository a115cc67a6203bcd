"""What every page shares: style, templates, scripts, vendored charts."""
