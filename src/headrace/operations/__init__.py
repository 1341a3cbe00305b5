"""The use cases, one module per verb, and the composition root.

``workspace.open_workspace`` opens what a command needs and closes it in reverse order. Everything above (the
command line) calls these functions; everything below is put together here.
"""
