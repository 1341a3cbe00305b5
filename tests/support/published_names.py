"""Names that other conventions have published, as their packages list them."""

from __future__ import annotations

VERSION_1_36 = frozenset(
    """
    gen_ai.agent.description gen_ai.agent.id gen_ai.agent.name gen_ai.completion gen_ai.conversation.id
    gen_ai.data_source.id gen_ai.openai.request.response_format gen_ai.openai.request.seed
    gen_ai.openai.request.service_tier gen_ai.openai.response.service_tier
    gen_ai.openai.response.system_fingerprint gen_ai.operation.name gen_ai.output.type gen_ai.prompt
    gen_ai.request.choice.count gen_ai.request.encoding_formats gen_ai.request.frequency_penalty
    gen_ai.request.max_tokens gen_ai.request.model gen_ai.request.presence_penalty gen_ai.request.seed
    gen_ai.request.stop_sequences gen_ai.request.temperature gen_ai.request.top_k gen_ai.request.top_p
    gen_ai.response.finish_reasons gen_ai.response.id gen_ai.response.model gen_ai.system
    gen_ai.token.type gen_ai.tool.call.id gen_ai.tool.description gen_ai.tool.name gen_ai.tool.type
    gen_ai.usage.completion_tokens gen_ai.usage.input_tokens gen_ai.usage.output_tokens
    gen_ai.usage.prompt_tokens
    """.split()  # noqa: SIM905, a list that is pasted
)
"""GenAI attributes of opentelemetry-semantic-conventions 0.57b0."""

VERSION_1_41 = frozenset(
    """
    gen_ai.agent.description gen_ai.agent.id gen_ai.agent.name gen_ai.agent.version gen_ai.completion
    gen_ai.conversation.id gen_ai.data_source.id gen_ai.embeddings.dimension.count
    gen_ai.evaluation.explanation gen_ai.evaluation.name gen_ai.evaluation.score.label
    gen_ai.evaluation.score.value gen_ai.input.messages gen_ai.openai.request.response_format
    gen_ai.openai.request.seed gen_ai.openai.request.service_tier gen_ai.openai.response.service_tier
    gen_ai.openai.response.system_fingerprint gen_ai.operation.name gen_ai.output.messages
    gen_ai.output.type gen_ai.prompt gen_ai.prompt.name gen_ai.provider.name gen_ai.request.choice.count
    gen_ai.request.encoding_formats gen_ai.request.frequency_penalty gen_ai.request.max_tokens
    gen_ai.request.model gen_ai.request.presence_penalty gen_ai.request.seed
    gen_ai.request.stop_sequences gen_ai.request.stream gen_ai.request.temperature gen_ai.request.top_k
    gen_ai.request.top_p gen_ai.response.finish_reasons gen_ai.response.id gen_ai.response.model
    gen_ai.response.time_to_first_chunk gen_ai.retrieval.documents gen_ai.retrieval.query.text
    gen_ai.system gen_ai.system_instructions gen_ai.token.type gen_ai.tool.call.arguments
    gen_ai.tool.call.id gen_ai.tool.call.result gen_ai.tool.definitions gen_ai.tool.description
    gen_ai.tool.name gen_ai.tool.type gen_ai.usage.cache_creation.input_tokens
    gen_ai.usage.cache_read.input_tokens gen_ai.usage.completion_tokens gen_ai.usage.input_tokens
    gen_ai.usage.output_tokens gen_ai.usage.prompt_tokens gen_ai.usage.reasoning.output_tokens
    gen_ai.workflow.name
    """.split()  # noqa: SIM905, a list that is pasted
)
"""GenAI attributes of opentelemetry-semantic-conventions 0.63b0."""

OPENINFERENCE = frozenset(
    """
    agent.name annotation.annotator_kind annotation.explanation annotation.identifier annotation.label
    annotation.metadata annotation.name annotation.score annotations audio.mime_type audio.transcript
    audio.url completion.text decision.model_name decision.provider decision.request.model_name
    decision.response.model_name decision.system decision.token_count.input decision.token_count.output
    document.content document.id document.metadata document.mime_type document.name document.score
    document.url embedding.embeddings embedding.invocation_parameters embedding.model_name
    embedding.text embedding.vector evaluation.annotator_kind evaluation.explanation
    evaluation.identifier evaluation.label evaluation.metadata evaluation.name evaluation.score
    evaluations graph.node.id graph.node.name graph.node.parent_id image.url input.documents
    input.images input.mime_type input.value llm.choices llm.cost.completion llm.cost.completion_details
    llm.cost.completion_details.audio llm.cost.completion_details.output
    llm.cost.completion_details.reasoning llm.cost.prompt llm.cost.prompt_details
    llm.cost.prompt_details.audio llm.cost.prompt_details.cache_input llm.cost.prompt_details.cache_read
    llm.cost.prompt_details.cache_write llm.cost.prompt_details.input llm.cost.total llm.finish_reason
    llm.function_call llm.input_messages llm.invocation_parameters llm.model_name llm.output_messages
    llm.prompt_template.template llm.prompt_template.variables llm.prompt_template.version llm.prompts
    llm.provider llm.request.model_name llm.response.model_name llm.system llm.token_count.completion
    llm.token_count.completion_details.audio llm.token_count.completion_details.reasoning
    llm.token_count.prompt llm.token_count.prompt_details llm.token_count.prompt_details.audio
    llm.token_count.prompt_details.cache_input llm.token_count.prompt_details.cache_read
    llm.token_count.prompt_details.cache_write llm.token_count.total llm.tools message.content
    message.contents message.function_call_arguments_json message.function_call_name message.name
    message.role message.tool_call_id message.tool_calls message_content.audio message_content.data
    message_content.document message_content.encrypted_content message_content.id message_content.image
    message_content.signature message_content.text message_content.type message_content.video metadata
    openinference.span.kind output.documents output.images output.mime_type output.value prompt.id
    prompt.text prompt.url prompt.vendor reranker.input_documents reranker.model_name
    reranker.output_documents reranker.query reranker.top_k retrieval.documents session.annotations
    session.evaluations session.id tag.tags tool.description tool.id tool.json_schema tool.name
    tool.parameters tool_call.function.arguments tool_call.function.name tool_call.id
    tool_call.reasoning_signature trace.annotations trace.evaluations user.id video.url
    """.split()  # noqa: SIM905, a list that is pasted
)
"""Attributes of openinference-semantic-conventions 0.1.42."""
