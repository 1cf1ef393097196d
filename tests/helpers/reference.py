"""The forward pass written plainly from the design: slow, and obviously right.

One model at a time, concatenated inputs, explicit softmax, no masks, no sharing.
Weights come under the names of the torch network.
"""

import numpy as np

LAYER_NORM_EPSILON = 1e-5


def embedding(weights, config, phi, y):
    """Embed one model from encodings (n, F) and scores (n,)."""
    w = _part(weights, "encoder")
    token_input = np.concatenate([phi, y[:, None], (2 * y[:, None] - 1) * phi], axis=1)
    token_weight = np.concatenate(
        [
            w["tokenizer.encoding.weight"],
            w["tokenizer.score"][:, None],
            w["tokenizer.interaction.weight"],
        ],
        axis=1,
    )
    tokens = token_input @ token_weight.T + w["tokenizer.encoding.bias"]
    heads = config["n_heads"]
    for layer in range(config["n_layers"]):
        block = _part(w, f"blocks.{layer}")
        if config["attention"] == "latent":
            compressed = t_block(
                _part(block, "compress"), block["latents"], tokens, heads
            )
            tokens = t_block(_part(block, "broadcast"), tokens, compressed, heads)
        else:
            tokens = t_block(_part(block, "block"), tokens, tokens, heads)
    aggregation = _part(w, "aggregation")
    z = t_block(_part(aggregation, "block"), aggregation["query"], tokens, heads)
    return _affine(aggregation, "out", z)[0]


def logit(weights, config, z, phi):
    """Score one (embedding, query) pair."""
    w = _part(weights, "predictor")
    u = _affine(w, "query", phi)
    hidden_input = np.concatenate([z, u, z * u])
    hidden_weight = np.concatenate(
        [
            w["hidden_embedding.weight"],
            w["hidden_query.weight"],
            w["hidden_product.weight"],
        ],
        axis=1,
    )
    hidden = np.maximum(hidden_weight @ hidden_input + w["hidden_embedding.bias"], 0)
    result = _affine(w, "out", hidden)[0]
    if config["bilinear"]:
        result += z @ u / np.sqrt(len(z))
    return result


def t_block(w, queries, tokens, n_heads):
    """LN1(A + FFN(A)) with A = LN0(Q + MHA(Q, X, X))."""
    attended = _layer_norm(
        w, "norm_attention", queries + _attention(w, queries, tokens, n_heads)
    )
    hidden = np.maximum(_affine(w, "feed_forward.0", attended), 0)
    return _layer_norm(w, "norm_out", attended + _affine(w, "feed_forward.2", hidden))


def _attention(w, queries, tokens, n_heads):
    w = _part(w, "attention")
    q = np.split(_affine(w, "query", queries), n_heads, axis=1)
    k = np.split(tokens @ w["key.weight"].T, n_heads, axis=1)
    v = np.split(_affine(w, "value", tokens), n_heads, axis=1)
    heads = []
    for qh, kh, vh in zip(q, k, v, strict=True):
        scores = qh @ kh.T / np.sqrt(qh.shape[1])
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(scores / scores.sum(axis=1, keepdims=True) @ vh)
    return _affine(w, "out", np.concatenate(heads, axis=1))


def _layer_norm(w, name, x):
    centred = x - x.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=1, keepdims=True) + LAYER_NORM_EPSILON)
    return centred / scale * w[f"{name}.weight"] + w[f"{name}.bias"]


def _affine(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _part(weights, prefix):
    start = prefix + "."
    return {
        name.removeprefix(start): value
        for name, value in weights.items()
        if name.startswith(start)
    }
