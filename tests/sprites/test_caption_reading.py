"""Labels of caption tokens, and the linear reading that is trained beside the flow."""

import torch

from numina.sprites.caption_reading import UNREAD, CaptionReader, caption_labels
from numina.sprites.flow import encode_captions
from numina.sprites.model import TEXT_DIM, build_tokenizer
from numina.sprites.world import CATEGORIES


def test_number_and_noun_share_the_labels_of_their_group() -> None:
    tokenizer = build_tokenizer()
    tokens = encode_captions(
        tokenizer, ["a video of seven purple balls and one leaf drifting down"]
    )
    words = tokenizer.convert_ids_to_tokens(tokens[0].tolist())
    labels = dict(zip(words, caption_labels(tokenizer, tokens)[0].tolist(), strict=True))
    balls, leaf = [6, CATEGORIES.index("purple balls")], [0, CATEGORIES.index("leaves")]
    assert labels["▁seven"] == labels["▁purple"] == labels["▁balls"] == balls
    assert labels["▁one"] == labels["▁leaf"] == leaf
    assert labels["▁video"] == labels["▁and"] == labels["▁down"] == [UNREAD, UNREAD]


def test_a_batch_of_empty_captions_costs_nothing() -> None:
    labels = torch.full((2, 3, 2), UNREAD)
    assert CaptionReader().loss(torch.randn(2, 3, TEXT_DIM), labels) == 0


def test_the_reading_tells_embeddings_that_know_from_those_that_do_not() -> None:
    reader = CaptionReader()
    labels = torch.tensor([[[2, 1], [UNREAD, UNREAD]]])
    knowing = torch.zeros(1, 2, TEXT_DIM)
    knowing[0, 0] = 20 * (reader.counts.weight[2] + reader.nouns.weight[1]).detach()
    assert reader.loss(knowing, labels) < reader.loss(-knowing, labels)
