"""Packs as torch data sets: samples, targets that know how they flip, augmentation."""
