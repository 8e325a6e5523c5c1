"""Tests of `layers/tree`: a layer's tree alone, and over the layers below it."""
