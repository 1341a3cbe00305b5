"""What tests and runs leave on disk, compared with what stock promptflow 1.18.5 left.

The cases have the form of ``tests/conformance/promptflow``, whose driver runs stock. ``records`` says what is compared.
"""
