"""`streets`: random streets in two looks."""
