"""The tool box of the tests: makers of odd images, and readers of what became of them."""
