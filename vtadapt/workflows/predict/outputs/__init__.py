"""What ``vtadapt predict`` writes of a picture: panels for people, and files that other programs read."""
