"""import-release: all images of a release into one commit, and what changed since the last one.

In: sources (a release file, a payload, a controller's stream, a lock). Out: a commit and a report.
Open `import_release.py` first. `parts.py` reads the sources, `plan.py` resolves the images and
finds the missing layers, `gather_images.py` imports them, `commit.py` commits.
"""
