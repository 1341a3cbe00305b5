from headrace.sdk.compare import compare as compare

__version__: str
