"""headrace runs prompt flow projects, compares their arms and says which one to ship."""

__version__ = "0.1.0"
