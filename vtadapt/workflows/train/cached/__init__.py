"""What the frozen part of an encoder makes of each picture, computed once: in memory, or on disk for later runs too."""
