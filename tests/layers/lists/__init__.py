"""Tests of `layers/lists`: lists of images in the formats that people have."""
