"""Tests of `layers/tarsplit`: each tar comes back, to the last byte."""
