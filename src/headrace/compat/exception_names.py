"""The exceptions of promptflow's parts, so that ``except`` clauses of projects mean what they meant. Only the names."""

from __future__ import annotations

from collections.abc import Mapping

EXCEPTION_FAMILIES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "promptflow._sdk._errors": (
        "CONTROL_PLANE_SDK",
        {
            "UserErrorException": "SDKError",
            "SystemErrorException": "SDKInternalError",
            "SDKError": "RunExistsError RunNotFoundError InvalidRunStatusError UnsecureConnectionError "
            "DecryptConnectionError StoreConnectionEncryptionKeyError InvalidFlowError ConnectionNotFoundError "
            "ConnectionNameNotSetError ConnectionClassNotFoundError InvalidRunError GenerateFlowToolsJsonError "
            "GenerateFlowMetaJsonError BulkRunException RunOperationParameterError RunOperationError "
            "FlowOperationError ExperimentExistsError ExperimentNotFoundError MultipleExperimentTemplateError "
            "NoExperimentTemplateError ExperimentValidationError ExperimentValueError ExperimentHasCycle "
            "UploadUserError UserAuthenticationError ExperimentNodeRunFailedError ExperimentNodeRunNotFoundError "
            "ExperimentCommandRunError ChatGroupError ChatRoleError UnexpectedAttributeError LineRunNotFoundError "
            "MissingAzurePackage WrongTraceSearchExpressionError PromptFlowServiceInvocationError",
            "SDKInternalError": "DownloadInternalError UploadInternalError ArtifactInternalError "
            "AssetInternalError RunHistoryInternalError MetricInternalError",
        },
    ),
    "promptflow._sdk._configuration": (
        "UNKNOWN",
        {"ValidationException": "ConfigFileNotFound InvalidConfigFile InvalidConfigValue"},
    ),
    "promptflow.core._errors": (
        "CORE",
        {
            "UserErrorException": "CoreError MissingRequiredPackage UserAuthenticationError ListDeploymentsError "
            "ToolValidationError LLMError WrappedOpenAIError OpenURLFailedUserError OpenURLNotFoundError "
            "UnknownConnectionType UnsupportedConnectionAuthType UnsupportedConnectionProviderConfig "
            "MalformedConnectionProviderConfig UnsupportedWorkspaceKind AccessDeniedError AccountNotSetUp",
            "SystemErrorException": "CoreInternalError OpenURLFailed BuildConnectionError",
            "CoreError": "GenerateFlowMetaJsonError RequiredEnvironmentVariablesNotSetError "
            "InvalidConnectionError ChatAPIInvalidRoleError JinjaTemplateError "
            "ChatAPIFunctionRoleInvalidFormatError MissingRequiredInputError InvalidOutputKeyError "
            "InvalidSampleError ChatAPIFunctionRoleInvalidFormat ChatAPIToolRoleInvalidFormat ConnectionNotFound",
            "ListDeploymentsError": "ParseConnectionError",
            "ToolValidationError": "ChatAPIInvalidFunctions ChatAPIInvalidTools",
            "WrappedOpenAIError": "ExceedMaxRetryTimes",
            "UserAuthenticationError": "OpenURLUserAuthenticationError",
        },
    ),
    "promptflow._core._errors": (
        "UNKNOWN",
        {
            "UserErrorException": "NotSupported ToolCanceledError ToolLoadError ToolExecutionError "
            "GenerateMetaUserError FlowOutputUnserializable",
            "SystemErrorException": "UnexpectedError GenerateMetaSystemError RunRecordNotFound ProcessPoolError "
            "ResumeCopyError",
            "ValidationException": "PackageToolNotFoundError MissingRequiredInputs InputTypeMismatch InvalidSource "
            "DuplicateToolMappingError",
            "GenerateMetaUserError": "MetaFileNotFound MetaFileReadError GenerateMetaTimeout",
            "GenerateMetaSystemError": "NoToolTypeDefined",
        },
    ),
    "promptflow._core.tool_meta_generator": (
        "TOOL",
        {
            "UserErrorException": "ToolValidationError",
            "ToolValidationError": "JinjaParsingError PythonParsingError PythonLoaderNotFound",
            "JinjaParsingError": "ReservedVariableCannotBeUsed",
            "PythonParsingError": "NoToolDefined MultipleToolsDefined BadFunctionInterface PythonLoadError",
        },
    ),
    "promptflow._core.tools_manager": (
        "EXECUTOR",
        {
            "UserErrorException": "CustomToolError",
            "SystemErrorException": "CustomToolSourceLoadError",
            "ValidationException": "APINotFound",
            "CustomToolError": "EmptyCodeInCustomTool CustomPythonToolLoadError MissingTargetFunction",
        },
    ),
    "promptflow._utils._errors": (
        "UNKNOWN",
        {
            "UserErrorException": "LoadMultimediaDataError InvalidMessageFormatType",
            "SystemErrorException": "YamlParseError",
            "ValidationException": "InvalidImageInput ApplyInputMappingError",
        },
    ),
    "promptflow.contracts._errors": (
        "UNKNOWN",
        {"UserErrorException": "FailedToImportModule FlowDefinitionError"},
    ),
    "promptflow.batch._errors": (
        "BATCH",
        {
            "UserErrorException": "EmptyInputsData BatchRunTimeoutError",
            "ValidationException": "InputMappingError",
        },
    ),
    "promptflow.executor._errors": (
        "EXECUTOR",
        {
            "ValidationException": "InvalidCustomLLMTool InvalidAssistantTool ValueTypeUnresolved "
            "ToolValidationError InvalidRequest InvalidBulkTestRequest InvalidFlowRequest InvalidFlexFlowEntry "
            "InvalidModelConfigValueType",
            "UserErrorException": "ScriptExecutionError NodeReferenceError NodeOutputNotFound "
            "SingleNodeValidationError AggregationNodeExecutionTimeoutError LineExecutionTimeoutError "
            "BatchExecutionTimeoutError ProcessCrashError EmptyLLMApiMapping FailedToGenerateToolDefinition "
            "FlowEntryInitializationError InvalidAggregationFunction",
            "SystemErrorException": "InvalidAggregationInput InputNotFoundFromAncestorNodeOutput "
            "NoNodeExecutedError ThreadCrashError ProcessTerminatedTimeout ProcessInfoObtainedTimeout "
            "SpawnedForkProcessManagerStartFailure",
            "PromptflowException": "ResolveToolError",
            "InvalidRequest": "GetConnectionError",
            "InvalidFlowRequest": "NodeInputValidationError DuplicateNodeName EmptyOutputReference "
            "OutputReferenceNotFound InputReferenceNotFound InputNotFound InputTypeError InputParseError "
            "InvalidConnectionType NodeReferenceNotFound NodeCircularDependency InvalidNodeReference",
            "NodeReferenceError": "UnsupportedReference InvalidReferenceProperty OutputReferenceNotExist",
        },
    ),
    "promptflow.tools.exception": (
        "TOOL",
        {
            "UserErrorException": "WrappedOpenAIError ToolValidationError LLMError SerpAPIUserError "
            "OpenModelLLMOnlineEndpointError OpenModelLLMUserError AzureContentSafetyInputValueError "
            "ListDeploymentsError",
            "SystemErrorException": "SerpAPISystemError AzureContentSafetySystemError",
            "WrappedOpenAIError": "ExceedMaxRetryTimes",
            "ToolValidationError": "JinjaTemplateError ChatAPIInvalidRole ChatAPIFunctionRoleInvalidFormat "
            "ChatAPIToolRoleInvalidFormat ChatAPIInvalidFunctions ChatAPIInvalidTools "
            "FunctionCallNotSupportedInStreamMode InvalidConnectionType OpenModelLLMKeyValidationError",
            "ListDeploymentsError": "ParseConnectionError",
        },
    ),
}
"""Module to the target of its errors, and its classes by the class above them, which is named before."""


def exception_names(module: str) -> list[str]:
    """Names of the exceptions of a module."""
    return [name for names in EXCEPTION_FAMILIES[module][1].values() for name in names.split()]
