"""How the `baseline` model reads a prompt: words, sections, passages, labels, spans.

Plain lexical reading with the standard library only; no neural network, no learned weights, no I/O.
`headrace.providers.baseline` is the one entrance; nothing else needs to import from here.

* `words`: folding, light stemming, inverse document frequency, the token count rule
* `sections`: chat messages cut into labelled sections
* `passages`: context text cut into passages with ids, and passages into units (sentences)
* `prompt`: sections put together: instructions, passages, examples, query
* `labels`: the list of allowed labels, and the choice among them
* `conventions`: what the prompt prescribes: not-knowing words, citations, answer length, JSON key
* `answer`, `spans`: the best-matching sentence, and the short span inside it
* `vectors`: cosine similarity and hashed n-gram embeddings
"""
