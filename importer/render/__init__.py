"""Tables for people.

In: tables and lines as values. Out: text in aligned columns, or rich's tables in the colours and
the width of a terminal. Control characters, which an image may bring, are escaped.
Open `table.py` first.
"""
