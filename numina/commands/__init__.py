"""The commands of the command line, one module each; ``numina.cli`` is their table."""
