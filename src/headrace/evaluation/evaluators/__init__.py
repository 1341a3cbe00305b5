"""The built-in evaluators that need no model, and what runs Python evaluators."""
