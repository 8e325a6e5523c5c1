"""Tests of `importer/imagestore`: the subcommands of `image-store`, but for `verify`."""
