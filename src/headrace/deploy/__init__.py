"""From a deployment file to an endpoint: what is there, what changes, whether that is safe, and the change itself.

Reached from ``operations`` only. The targets are adapters: they are reached by name, and only they know Azure.
"""
