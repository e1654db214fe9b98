"""One file becomes numbers: the door that every reader takes, and the formats behind it."""
