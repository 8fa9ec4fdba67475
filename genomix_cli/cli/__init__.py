"""The command line: parse, build a request, one call, render."""
