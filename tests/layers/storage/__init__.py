"""Tests of `layers/storage`: records of stores, read, written and merged; storage.conf."""
