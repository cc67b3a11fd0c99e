"""The tests; a package, so that another one of this name, elsewhere on the path, is not taken for it."""
