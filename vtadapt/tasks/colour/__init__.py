"""The colours of labels and predictions: of classes, of values, and of pixels without a label."""
