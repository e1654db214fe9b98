"""The other systems of the slides, as networks; what they differ in besides (losses, weights) is in the workflows."""
