"""One file for each format; ``table.py`` lists them."""
