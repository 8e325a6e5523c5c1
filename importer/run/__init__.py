"""Run an import for all three commands: find images → plan → read layers → commit → result.

In: an `ImportJob`, with a source of images and a target. Out: a `Result`, or for --dry-run a
`DryRun`. Open `import_all.py` first: it reads as that sentence.
"""
