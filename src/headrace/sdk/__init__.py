"""The Python objects with which projects run flows themselves, under promptflow's names.

``compat.served_names`` names the classes here by import string, because ``compat`` stands below the engine and these
stand above ``operations``: they are to code what ``cli`` is to people. Nothing here is imported before a project asks.
"""
