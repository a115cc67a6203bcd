"""One file format per file; each turns a path into a stream of examples and can say whether a file is its own."""
