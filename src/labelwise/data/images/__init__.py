"""Pictures: files and arrays, decoding, and the views that training draws."""
