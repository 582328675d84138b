"""Tiny random vision-language models of current families, built from their configurations and saved as real ones are.

What they say is noise. Each has the tokens, the processor and the chat template of its family, so that everything but
the weights is as with a real model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIDE = 28  # pixels of the pictures that the vision towers see
WORDS = [
    "What does the image show? A marsh is wet ground with reeds. Evidence number one says so.",
    "system user assistant tool name arguments scene locate image Picture of evidence",
    "The harbour has quays of forty kilometres and was opened long ago near the river mouth.",
    'number="1" kind="text" title="x" 0 1 2 3 4 5 6 7 8 9 [1] [A] { } " : , . ; ( ) \n',
]

CHATML = """{%- for message in messages -%}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}\
{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}\
{% for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
TOOLS = """{%- if tools %}<|im_start|>system
# Tools, called as <tool_call>{"name": ..., "arguments": ...}</tool_call>
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif -%}"""


def tokenizer(special: list[str], template: str, **named: str) -> Any:
    """A byte-level BPE of 400 tokens, trained here, with a family's special tokens. Also what makes weights the same
    every time."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    torch.manual_seed(7)
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *special]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        WORDS * 3,
        trainers.BpeTrainer(vocab_size=400, special_tokens=tokens, initial_alphabet=alphabet, show_progress=False),
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>", bos_token=None, **named
    )
    wrapped.add_tokens(["<tool_call>", "</tool_call>"])
    wrapped.chat_template = template
    return wrapped


TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "initializer_range": 0.2,
}


def qwen(folder: Path) -> Path:
    """Qwen2.5-VL."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    template = TOOLS + CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    special = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    words = tokenizer(special, template)
    ids = {name: words.convert_tokens_to_ids(f"<|{name}|>") for name in ("vision_start", "vision_end", "image_pad")}
    config = Qwen2_5_VLConfig(
        text_config={
            **TEXT,
            "vocab_size": len(words),
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
            "eos_token_id": words.eos_token_id,
            "pad_token_id": words.pad_token_id,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 14,
            "fullatt_block_indexes": [1],
        },
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        image_token_id=ids["image_pad"],
        video_token_id=words.convert_tokens_to_ids("<|video_pad|>"),
    )
    pixels = {"min_pixels": SIDE * SIDE, "max_pixels": 4 * SIDE * SIDE}
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(**pixels), words, Qwen2VLVideoProcessor(**pixels), chat_template=template
    )
    return _saved(folder, Qwen2_5_VLForConditionalGeneration(config), processor, words)


def smolvlm(folder: Path) -> Path:
    """SmolVLM."""
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    # Its own template goes through the blocks and knows no plain string.
    template = CHATML.replace("message.content is string", "false").replace("IMAGE", "<image>")
    special = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    special += [f"<row_{r}_col_{c}>" for r in range(1, 3) for c in range(1, 3)]
    named = {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    }
    words = tokenizer(special, template, extra_special_tokens=named)  # type: ignore[arg-type]
    config = SmolVLMConfig(
        image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
        scale_factor=2,
        tie_word_embeddings=False,
        text_config={
            **TEXT,
            "model_type": "llama",
            "vocab_size": len(words),
            "eos_token_id": words.eos_token_id,
            "pad_token_id": words.pad_token_id,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
    )
    sizes = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(**sizes, do_image_splitting=True),
        words,
        SmolVLMVideoProcessor(**sizes, video_sampling={"max_frames": 2, "fps": 1, "video_size": {"longest_edge": 32}}),
        image_seq_len=4,
        chat_template=template,
    )
    return _saved(folder, SmolVLMForConditionalGeneration(config), processor, words)


def llava(folder: Path) -> Path:
    """LLaVA-OneVision."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    template = CHATML.replace("message.content is string", "false").replace("IMAGE", "<image>")
    words = tokenizer(["<image>", "<video>"], template)
    config = LlavaOnevisionConfig(
        text_config={
            **TEXT,
            "model_type": "qwen2",
            "vocab_size": len(words),
            "eos_token_id": words.eos_token_id,
            "pad_token_id": words.pad_token_id,
        },
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 14,
            "vision_use_head": False,
        },
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, SIDE]],
        vision_aspect_ratio="anyres_max_9",
        tie_word_embeddings=False,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=config.image_grid_pinpoints),
        words,
        LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=(SIDE // 14) ** 2,
        vision_feature_select_strategy="full",
        chat_template=template,
    )
    return _saved(folder, LlavaOnevisionForConditionalGeneration(config), processor, words)


def text_only(folder: Path) -> Path:
    """A Qwen2 without eyes, whose template knows no system and wants roles to take turns."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    strict = (
        "{% for m in messages %}{% if m.role == 'system' or (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate') }}{% endif %}<|im_start|>{{ m.role }}\n"
        "{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    )
    words = tokenizer([], strict)
    config = Qwen2Config(
        **TEXT, vocab_size=len(words), eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id
    )
    return _saved(folder, Qwen2ForCausalLM(config), words, words)


FAMILIES = {"qwen": qwen, "smolvlm": smolvlm, "llava": llava}


def _saved(folder: Path, model: Any, processor: Any, words: Any) -> Path:
    import torch

    # Random weights would end or say nothing but special tokens: it never prefers those.
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head[list(words.added_tokens_decoder)] = 0
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
