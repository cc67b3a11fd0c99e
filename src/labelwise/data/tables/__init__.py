"""Tables: files of rows in their formats, their columns and cells, and the labels in them."""
