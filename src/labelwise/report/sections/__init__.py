"""The report's sections, each with its template beside it."""
