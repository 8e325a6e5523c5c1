"""Tests of layers/ondisk/: the options of `ostree commit`, and the home of a graph driver."""
