"""An import: images that are wanted → plan → layers → commits → result, for all three commands.

In: an `ImportJob`, with a source of images and a target. Out: a `Result`, or for --dry-run a
`DryRun`. Open `import_all.py` first: it reads as that sentence.
"""
