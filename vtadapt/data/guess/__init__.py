"""What a folder of somebody's data probably is: its pictures, labels, classes, units and splits, for a first recipe."""
