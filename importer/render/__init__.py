"""Tables for people.

In go tables and lines as values; out comes text: aligned columns, or rich's tables in the colours
and the width of a terminal. Control characters that an image brings are escaped on the way. Open
table.py first.
"""
