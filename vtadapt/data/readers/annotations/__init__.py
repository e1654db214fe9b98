"""Labels as tools for drawing them write them: polygons, boxes and masks with names, turned into maps of class ids."""
