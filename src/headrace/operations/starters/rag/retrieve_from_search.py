"""Finds documents in an index of Azure AI Search: takes the place of `retrieve.py`, see `flow.dag.yaml`."""

import json
from urllib.parse import quote
from urllib.request import Request, urlopen

from promptflow.connections import CognitiveSearchConnection
from promptflow.core import tool

# The fields of the index that hold the id of a document and its text.
ID, TEXT = "id", "content"
API_VERSION = "2026-04-01"


@tool
def retrieve(question: str, connection: CognitiveSearchConnection, index: str, most: int = 3) -> dict:
    """The best documents for a question: `context`, the text for the prompt, and `sources`, their ids, best first."""
    place = f"{connection.api_base.rstrip('/')}/indexes('{quote(index)}')/docs/search.post.search"
    body = json.dumps({"search": question, "top": most, "select": f"{ID},{TEXT}"}).encode()
    headers = {"content-type": "application/json", "api-key": connection.api_key}
    with urlopen(Request(f"{place}?api-version={API_VERSION}", body, headers), timeout=30) as answer:
        found = json.load(answer)["value"]
    context = "\n\n".join(f"[{document[ID]}] {' '.join(document[TEXT].split())}" for document in found)
    return {"context": context, "sources": [document[ID] for document in found]}
