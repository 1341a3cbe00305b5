"""A lint of Bicep files that needs neither the compiler nor Azure: ``python -m tests.support.bicep infra``.

It parses with tree-sitter and holds what it finds against rules of this project; what the rules are told is in the
``*.yaml`` and ``*.json`` files beside. It knows less than the compiler: types are compared where a literal stands.
"""
