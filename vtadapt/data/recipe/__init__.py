"""What a data set is: its recipe, its lists of classes, its camera."""
