from dataclasses import dataclass, field


@dataclass
class CustomConnection:
    name: str
    secrets: dict
    configs: dict = field(default_factory=dict)


@dataclass
class OpenAIConnection:
    name: str
    api_key: str
    base_url: str = ""
    organization: str = ""
