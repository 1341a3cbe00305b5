from tests.support.tool_nodes import served_names

__all__ = ["served_names"]
