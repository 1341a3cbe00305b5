import json
import os
from pathlib import Path


class _Connections:
    def __init__(self):
        self.known = []

    def create_or_update(self, connection):
        self.known.append(connection)


class PFClient:
    def __init__(self):
        self.connections = _Connections()
        self.asked = 0

    def test(self, flow, inputs):
        print("a line that is no result")
        answers = json.loads((Path(flow) / "stock_answers.json").read_text())
        answer = answers[self.asked % len(answers)]
        self.asked += 1
        if answer == "end":
            os._exit(9)
        if answer == "connections":
            return {"answer": [repr(item) for item in self.connections.known]}
        if answer == "stream":
            return {"answer": (piece for piece in ("one ", inputs["text"]))}
        if isinstance(answer, str):
            raise ValueError(answer)
        return answer
