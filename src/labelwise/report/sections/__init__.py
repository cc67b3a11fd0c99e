"""The report's sections, a file each, with its block of the page beside it."""
