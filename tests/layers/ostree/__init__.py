"""Tests of `layers/ostree`: the bytes of objects, compared with libostree's."""
