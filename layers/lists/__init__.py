"""Files in which people list images: blueprints, Compose files, units, manifests, plain lists.

In go a file's bytes; out come the images with the names that the file gives them, and the file
again with digests in place of tags. Which format a file has, its content says. Open detect.py
first.
"""
