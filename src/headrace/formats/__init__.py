"""Files of the user ⇄ domain values, keeping positions.

Flows, templates, data, column mappings, connections and experiments are read here, and nowhere else.
May import: config, domain, errors, source. What a newcomer would break: every problem about a file
carries its span; ``yaml`` lives in ``positions`` and ``jinja2`` in ``template`` only; a ``read_``
function reports findings as values where it can, a ``load_`` function raises one DefinitionError
with all of them.
"""
