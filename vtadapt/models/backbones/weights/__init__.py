"""Files of weights: found by name, read in their publishers' layouts, kept in a store."""
