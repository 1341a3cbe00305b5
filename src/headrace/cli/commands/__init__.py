"""One module per command; each holds one ``command`` that returns an exit code."""
