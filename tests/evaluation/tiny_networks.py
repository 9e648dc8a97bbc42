"""Networks that judge clips, of the real classes, tiny and seeded: each saved to a folder."""

from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertTokenizer,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessorPil,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessorPil,
    SwinConfig,
)

WIDTHS = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] . red blue balls cats dogs apples stars leaves fish purple"


def save_grounding_dino(folder: Path) -> Path:
    """A GroundingDINO that reads 32 tokens and answers with 8 boxes."""
    torch.manual_seed(0)
    swin = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )
    # The ids that separate nouns lie at 1012 and 1029, in the vocabulary of the large model.
    bert = BertConfig(vocab_size=1100, max_position_embeddings=64, **WIDTHS)
    settings = GroundingDinoConfig(
        backbone_config=swin,
        text_config=bert,
        d_model=32,
        num_queries=8,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_text_len=32,
    )
    GroundingDinoForObjectDetection(settings).save_pretrained(folder)
    vocabulary = {word: index for index, word in enumerate(WORDS.split())}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    size = {"shortest_edge": 128, "longest_edge": 256}
    GroundingDinoImageProcessorPil(size=size).save_pretrained(folder)
    return folder


def save_owlv2(folder: Path) -> Path:
    """An OWLv2 that reads 48 tokens and answers with 16 boxes."""
    torch.manual_seed(0)
    text = {**_save_tokenizer(folder, 48), **WIDTHS}
    vision = {"image_size": 64, "patch_size": 16, **WIDTHS}
    settings = Owlv2Config(text_config=text, vision_config=vision, projection_dim=16)
    Owlv2ForObjectDetection(settings).save_pretrained(folder)
    Owlv2ImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def save_clip(folder: Path) -> Path:
    """A CLIP that reads 24 tokens and 32 x 32 pixels."""
    torch.manual_seed(0)
    text = {**_save_tokenizer(folder, 24), **WIDTHS}
    vision = {"image_size": 32, "patch_size": 16, **WIDTHS}
    settings = CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    CLIPModel(settings).save_pretrained(folder)
    sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessorPil(**sizes).save_pretrained(folder)
    return folder


def _save_tokenizer(folder: Path, length: int) -> dict[str, int]:
    """A tokenizer of single letters; what a text model must know of it."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,"
    pieces = ["!", *letters, *(f"{letter}</w>" for letter in letters)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    CLIPTokenizer(
        vocab=vocabulary, merges=[], pad_token="!", model_max_length=length
    ).save_pretrained(folder)
    return {
        "vocab_size": len(pieces),
        "bos_token_id": len(pieces) - 2,
        "eos_token_id": len(pieces) - 1,
        "max_position_embeddings": length,
    }
