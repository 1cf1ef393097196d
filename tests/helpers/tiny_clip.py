"""A CLIP model of some thousand weights, made without a network."""

import json

import torch
from sentence_transformers import SentenceTransformer
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTokenizer,
    CLIPVisionConfig,
)

SIDE = 16
"""Width and height of an image as the model sees it."""

LAYERS = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
SPECIAL = ("<|startoftext|>", "<|endoftext|>")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def save_tiny_clip(folder):
    """Write a CLIP model with random weights, as transformers writes them."""
    tokens = [*LETTERS, *(letter + "</w>" for letter in LETTERS), *SPECIAL]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    images = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    start, end = (tokens.index(token) for token in SPECIAL)
    text = CLIPTextConfig(
        vocab_size=len(tokens),
        max_position_embeddings=77,
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
        **LAYERS,
    )
    vision = CLIPVisionConfig(image_size=SIDE, patch_size=8, **LAYERS)
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=8
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    return folder


def tiny_clip(folder):
    """Load the model as sentence-transformers does."""
    return SentenceTransformer(str(save_tiny_clip(folder)), device="cpu")
