"""`rooms`: random furnished rooms."""
