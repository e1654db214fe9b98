"""The commands: one thin function each, which imports its workflow when it is called."""
