"""The Bicep files against the schemas that Azure publishes: ``make infra-schemas``, since those are not kept here."""
