"""LOCUS written directly from the paper's equations, to measure the package against.

Nothing is shared and nothing is arranged: inputs are concatenated for every evaluation
and for every pair. Attention is torch's own, and predictions go model by model, one
forward pass each, which is faster than one batch of all models: that would not fit a
cache, and hardly the memory. Training takes all models at once. The network is that of
the authors' released form (interaction in the token, a linear map after the
aggregation, u and z * u in the predictor).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class PlainNetwork(nn.Module):
    """Encoder F (eqs. 1 to 3) and predictor G (eq. 4).

    Parameters
    ----------
    n_features : int
        Length of an encoding.
    """

    def __init__(self, n_features, width=128, n_latents=64, n_heads=4, hidden=64):
        super().__init__()
        self.token = nn.Linear(2 * n_features + 1, width)
        self.latents = nn.ParameterList(torch.randn(n_latents, width) for _ in range(2))
        self.compress = nn.ModuleList(Block(width, n_heads) for _ in range(2))
        self.broadcast = nn.ModuleList(Block(width, n_heads) for _ in range(2))
        self.summary = nn.Parameter(torch.randn(1, width))
        self.aggregate = Block(width, n_heads)
        self.out = nn.Linear(width, width)
        self.query = nn.Linear(n_features, width)
        self.predictor = nn.Sequential(
            nn.Linear(3 * width, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def embed(self, encodings, scores):
        """Embed models: ``encodings`` (N, F), ``scores`` (B, N) -> (B, D)."""
        phi = encodings.expand(len(scores), -1, -1)
        y = scores.unsqueeze(-1)
        x = self.token(torch.cat([phi, y, (2 * y - 1) * phi], dim=-1))
        for latents, compress, broadcast in zip(
            self.latents, self.compress, self.broadcast, strict=True
        ):
            x = broadcast(x, compress(latents.expand(len(x), -1, -1), x))
        z = self.aggregate(self.summary.expand(len(x), -1, -1), x)
        return self.out(z.squeeze(1))

    def score(self, embeddings, encodings):
        """Score all pairs: (B, D) and ``encodings`` (Q, F) -> logits (Q, B)."""
        u = self.query(encodings)
        shape = len(u), len(embeddings), u.shape[1]
        u, z = u.unsqueeze(1).expand(shape), embeddings.unsqueeze(0).expand(shape)
        return self.predictor(torch.cat([z, u, z * u], dim=-1)).squeeze(-1)

    def embed_each(self, encodings, scores):
        """Embed models one after another, as `embed`."""
        return torch.cat([self.embed(encodings, own[None]) for own in scores])

    def score_each(self, embeddings, encodings):
        """Score queries model by model, as `score`."""
        u = self.query(encodings)
        return torch.cat([self._score_one(z, u) for z in embeddings], dim=1)

    def _score_one(self, z, u):
        return self.predictor(torch.cat([z.expand_as(u), u, z * u], dim=-1))

    def encoder_parameters(self):
        """Return what embeds; the rest predicts."""
        predicting = {*self.query.parameters(), *self.predictor.parameters()}
        return [p for p in self.parameters() if p not in predicting]

    def predictor_parameters(self):
        """Return what predicts."""
        return [*self.query.parameters(), *self.predictor.parameters()]


class Block(nn.Module):
    """TBlock(Q, X, X): attention, then feed-forward, normalised after each."""

    def __init__(self, width, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width)
        self.o = nn.Linear(width, width)
        self.ln0 = nn.LayerNorm(width)
        self.ffn = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )
        self.ln1 = nn.LayerNorm(width)

    def forward(self, queries, x):
        """Attend: ``queries`` (B, Q, D), ``x`` (B, N, D) -> (B, Q, D)."""
        q, k, v = (self._heads(h) for h in (self.q(queries), self.k(x), self.v(x)))
        mean = F.scaled_dot_product_attention(q, k, v)
        attended = self.o(mean.transpose(1, 2).flatten(2))
        a = self.ln0(queries + attended)
        return self.ln1(a + self.ffn(a))

    def _heads(self, x):
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


def plain_twin(network):
    """Give a plain network the weights of one of the package, without bilinear term."""
    twin = PlainNetwork(network.config.n_features)
    encoder, predictor = network.encoder, network.predictor
    tokenizer = encoder.tokenizer
    token_parts = (
        tokenizer.encoding.weight,
        tokenizer.score.unsqueeze(1),
        tokenizer.interaction.weight,
    )
    hidden_parts = (
        predictor.hidden_embedding,
        predictor.hidden_query,
        predictor.hidden_product,
    )
    with torch.no_grad():
        twin.token.weight.copy_(torch.cat(token_parts, dim=1))
        twin.token.bias.copy_(tokenizer.encoding.bias)
        for layer, block in enumerate(encoder.blocks):
            twin.latents[layer].copy_(block.latents)
            _copy_block(twin.compress[layer], block.compress)
            _copy_block(twin.broadcast[layer], block.broadcast)
        twin.summary.copy_(encoder.aggregation.query)
        _copy_block(twin.aggregate, encoder.aggregation.block)
        hidden = torch.cat([part.weight for part in hidden_parts], dim=1)
        twin.predictor[0].weight.copy_(hidden)
        twin.predictor[0].bias.copy_(predictor.hidden_embedding.bias)
    twin.out.load_state_dict(encoder.aggregation.out.state_dict())
    twin.query.load_state_dict(predictor.query.state_dict())
    twin.predictor[2].load_state_dict(predictor.out.state_dict())
    return twin.eval()


def _copy_block(plain, block):
    attention = block.attention
    pairs = (
        (plain.q, attention.query),
        (plain.k, attention.key),
        (plain.v, attention.value),
        (plain.o, attention.out),
        (plain.ln0, block.norm_attention),
        (plain.ffn, block.feed_forward),
        (plain.ln1, block.norm_out),
    )
    for own, other in pairs:
        own.load_state_dict(other.state_dict())


MAX_EPOCHS = 2500
PATIENCE = 500
ENCODER_RATE, PREDICTOR_RATE = 2e-4, 8e-4


def fit_plain(network, encodings, scores, held_encodings, held_scores, max_epochs):
    """Train by the plain recipe; return the best validation log loss and its epoch.

    One step of Adam per epoch on everything there is: all models, all their training
    evaluations as context and as targets. ``encodings`` (N, F), ``scores`` (B, N),
    ``held_encodings`` (H, F), ``held_scores`` (B, H).
    """
    optimizer = torch.optim.Adam(
        [
            {"params": network.encoder_parameters(), "lr": ENCODER_RATE},
            {"params": network.predictor_parameters(), "lr": PREDICTOR_RATE},
        ]
    )
    best_loss, best_epoch, best_state = math.inf, 0, network.state_dict()
    for epoch in range(1, max_epochs + 1):
        optimizer.zero_grad()
        logits = network.score(network.embed(encodings, scores), encodings)
        F.binary_cross_entropy_with_logits(logits, scores.T).backward()
        optimizer.step()
        with torch.no_grad():
            logits = network.score(network.embed(encodings, scores), held_encodings)
            loss = float(F.binary_cross_entropy_with_logits(logits, held_scores.T))
        if loss < best_loss:
            best_loss, best_epoch = loss, epoch
            best_state = {k: v.clone() for k, v in network.state_dict().items()}
        if epoch - best_epoch >= PATIENCE:
            break
    network.load_state_dict(best_state)
    return best_loss, best_epoch, epoch
