"""The bundled CNN encoder ``cnn_lite``: EfficientNet-Lite0 as it was published."""
