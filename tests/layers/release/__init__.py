"""Tests of `layers/release`: what changed between two releases, and how it is told."""
