"""The data sets of a run: found by name, their packs, and the classes that they share."""
