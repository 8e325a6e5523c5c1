"""Results for people and programs: tables and lines as text, documents as JSON.

Tables have aligned columns, or on a terminal rich's colours and the terminal's width. Control
characters, which an image may bring, are escaped. Open `table.py` or `json_text.py` first.
"""
