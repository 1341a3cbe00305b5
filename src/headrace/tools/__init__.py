"""Node kinds: what one node does (prompt, llm, python, embedding).

``registry`` maps a node's type and source to an import string; kinds do not know each other. A loaded tool is
bound to one node and knows how it wants to be called: inline, in a thread, or awaited. May import: providers,
telemetry and below.
"""
