"""Tests of `importer/cli`: options, messages, standard output, signals."""
