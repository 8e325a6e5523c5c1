"""Tests of `layers/oci`: manifests, configs, references."""
