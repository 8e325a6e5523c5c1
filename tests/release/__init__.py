"""Tests of `importer/release`: `import-release`, its sources, files, reports and failures."""
