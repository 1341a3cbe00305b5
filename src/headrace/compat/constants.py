"""Words and file names of promptflow that projects import instead of writing them."""

from __future__ import annotations

from enum import Enum

DEFAULT_ENCODING = "utf-8"
FLOW_DAG_YAML = "flow.dag.yaml"
FLOW_FLEX_YAML = "flow.flex.yaml"
FLOW_TOOLS_JSON = "flow.tools.json"
FLOW_META_JSON = "flow.json"
PROMPTY_EXTENSION = ".prompty"
PROMPT_FLOW_DIR_NAME = ".promptflow"
OUTPUT_FILE_NAME = "output.jsonl"
LINE_NUMBER_KEY = "line_number"
LINE_NUMBER = LINE_NUMBER_KEY
LINE_TIMEOUT_SEC = 600
CHAT_HISTORY = "chat_history"
DEFAULT_OUTPUT_NAME = "output"
DEFAULT_VARIANT = "variant_0"
LOGGER_NAME = "promptflow"
PROMPTFLOW_CONNECTIONS = "PROMPTFLOW_CONNECTIONS"
CONNECTION_NAME_PROPERTY = "__connection_name"
CONNECTION_SECRET_KEYS = "__secret_keys"  # noqa: S105 - the name of a field, not a secret
CONNECTION_SCRUBBED_VALUE = "******"
CONNECTION_SCRUBBED_VALUE_NO_CHANGE = "<no-change>"
SCRUBBED_VALUE = CONNECTION_SCRUBBED_VALUE
SCRUBBED_VALUE_NO_CHANGE = CONNECTION_SCRUBBED_VALUE_NO_CHANGE
SCRUBBED_VALUE_USER_INPUT = "<user-input>"
INPUTS_TO_ESCAPE_PARAM_KEY = "_inputs_to_escape"
STREAMING_OPTION_PARAMETER_ATTR = "_streaming_option_parameter"
MAX_RUN_LIST_RESULTS = 50
MAX_SHOW_DETAILS_RESULTS = 100


class MessageFormatType:
    """Forms in which images stand in data."""

    BASIC = "basic"
    OPENAI_VISION = "openai-vision"


class FlowLanguage:
    """Languages of flows."""

    Python = "python"
    CSharp = "csharp"


class FlowType:
    """Types of flows in prompt flow's own command line."""

    STANDARD = "standard"
    EVALUATION = "evaluation"
    CHAT = "chat"

    @staticmethod
    def get_all_values() -> list[str]:
        """All of them."""
        return [FlowType.STANDARD, FlowType.EVALUATION, FlowType.CHAT]


class ConnectionAuthMode:
    """How a connection proves who asks."""

    KEY = "key"
    MEID_TOKEN = "meid_token"  # noqa: S105 - a word, not a token


class ConnectionDefaultApiVersion:
    """Versions of interfaces that connections use unless told otherwise."""

    AZURE_OPEN_AI = "2024-02-01"
    COGNITIVE_SEARCH = "2023-11-01"
    AZURE_CONTENT_SAFETY = "2023-10-01"
    FORM_RECOGNIZER = "2023-07-31"


class ConnectionType(str, Enum):  # noqa: UP042 - projects print it, and StrEnum prints differently
    """Types of connections."""

    AZURE_OPEN_AI = "AzureOpenAI"
    OPEN_AI = "OpenAI"
    QDRANT = "Qdrant"
    COGNITIVE_SEARCH = "CognitiveSearch"
    SERP = "Serp"
    AZURE_CONTENT_SAFETY = "AzureContentSafety"
    AZURE_AI_SERVICES = "AzureAIServices"
    FORM_RECOGNIZER = "FormRecognizer"
    WEAVIATE = "Weaviate"
    SERVERLESS = "Serverless"
    CUSTOM = "Custom"


class RunStatus:
    """States of a run; only the first five occur here."""

    NOT_STARTED = "NotStarted"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"
    QUEUED = "Queued"
    PREPARING = "Preparing"
    PROVISIONING = "Provisioning"
    STARTING = "Starting"
    CANCEL_REQUESTED = "CancelRequested"
    FINALIZING = "Finalizing"
    UNAPPROVED = "Unapproved"
    NOTRESPONDING = "NotResponding"
    PAUSING = "Pausing"
    PAUSED = "Paused"

    @classmethod
    def list(cls) -> list[str]:
        """All of them."""
        return [value for name, value in vars(cls).items() if name.isupper()]

    @classmethod
    def get_terminated_statuses(cls) -> set[str]:
        """Those after which nothing more happens."""
        return {cls.COMPLETED, cls.FAILED, cls.CANCELED}

    @classmethod
    def get_running_statuses(cls) -> set[str]:
        """Those before the end."""
        return {cls.NOT_STARTED, cls.QUEUED, cls.PREPARING, cls.PROVISIONING, cls.STARTING, cls.RUNNING}


class ListViewType(str, Enum):  # noqa: UP042
    """Which runs a list shows."""

    ACTIVE_ONLY = "ActiveOnly"
    ARCHIVED_ONLY = "ArchivedOnly"
    ALL = "All"


class FlowRunProperties:
    """Names of a run's properties."""

    FLOW_PATH = "flow_path"
    OUTPUT_PATH = "output_path"
    NODE_VARIANT = "node_variant"
    RUN = "run"
    SYSTEM_METRICS = "system_metrics"
    COMMAND = "command"
    OUTPUTS = "outputs"
    RESUME_FROM = "resume_from"
    COLUMN_MAPPING = "column_mapping"
    INIT_KWARGS = "init_kwargs"


class LocalStorageFilenames:
    """Names of the files and folders of a run."""

    SNAPSHOT_FOLDER = "snapshot"
    FLOW_TOOLS_JSON = "flow.tools.json"
    INPUTS = "inputs.jsonl"
    OUTPUTS = "outputs.jsonl"
    DETAIL = "detail.json"
    METRICS = "metrics.json"
    LOG = "logs.txt"
    FLOW_LOGS_FOLDER = "flow_logs"
    EXCEPTION = "error.json"
    META = "meta.json"


class OutputsFolderName:
    """Names of the folders in which a run keeps what came out."""

    FLOW_OUTPUTS = "flow_outputs"
    FLOW_ARTIFACTS = "flow_artifacts"
    NODE_ARTIFACTS = "node_artifacts"
