"""The command line: arguments in, rendered text and an exit code out.

One module per command under ``commands``, loaded only when that command is called; ``tree`` holds the
table of names and one-line helps. Commands call ``operations`` and know nothing of engines or providers.
click and rich live here and nowhere else; rich is reached by name, only while a progress bar is on screen.
"""
