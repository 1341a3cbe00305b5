"""The ``promptflow`` names that projects import, served by us.

:func:`install` puts one finder in front of Python's own; nothing else of this package is imported before a project
asks for a name. What is served is the table in ``served_names``; any other name comes from the real package where it
is installed, and is refused with T209 where it is not. May import: tools and below.
"""

from headrace.compat.finder import install

__all__ = ["install"]
