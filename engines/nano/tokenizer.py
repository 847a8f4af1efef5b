"""The nano's tokenizer: bytes, Chinese characters and words of questions where its data has them, control tokens."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

VOCAB_SIZE = 640
IMAGE, AUDIO = "<|image|>", "<|audio|>"
USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|endoftext|>"
CONTROLS = (
    END, USER, ASSISTANT, "<|begin_of_image|>", IMAGE, "<|end_of_image|>", "<|begin_of_audio|>", AUDIO,
    "<|end_of_audio|>",
)  # fmt: skip
CHARACTERS = (
    "图片里写着什么？上面的是有描述这张一二三第个形几红色绿蓝黄橙紫黑白棕粉圆正方角星十字环、多少哪项最高低柱子钱"
    "辣吗不道菜元法国首都在意大利罗马西班牙德林京日本东英伦敦俄斯莫科埃及开希腊雅典奥地维也纳波兰华沙葡萄里约挪印"
    "新加拿渥太古巴那秘鲁等于用语怎么说你好！有可以帮助谢客气。再见谁我运行在设备小手录音了话人听起来平静激动轻声"
    "灯风扇暖收机摄像头电视减哈瓦威颜样状台陆中北度柏黎"
)
WORDS = (
    "What", "Which", "How", "Read", "Describe", "Transcribe", " is", " the", " in", " of", " does", " do", " did",
    " was", " it", " are", " there", " you", " see", " hear", " say", " said", " here", " text", " written",
    " picture", " value", " recording", " speaker", " sound", " mood", " colour", " color", " shape", " shapes",
    " many", " much", " bar", " bars", " highest", " lowest", " high", " dish", " dishes", " costs", " spicy",
    " first", " second", " capital", " city", " plus", " minus", " opposite", " device", " room", " meant", " comes",
    " after", " before", " day", " Chinese",
)  # fmt: skip
"""A token each: questions are made of them, and need not be spelled. What is read or heard is spelled."""
TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message.role == 'user' -%}<|user|>"
    "{%- if message.content is string -%}{{ message.content }}{%- else -%}{%- for part in message.content -%}"
    "{%- if part.type == 'image' -%}<|begin_of_image|><|image|><|end_of_image|>"
    "{%- elif part.type == 'audio' -%}<|begin_of_audio|><|audio|><|end_of_audio|>"
    "{%- else -%}{{ part.text }}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{%- elif message.role == 'assistant' -%}<|assistant|>"
    "{%- if message.content is string -%}{{ message.content }}{%- else -%}{%- for part in message.content -%}"
    "{{ part.text }}{%- endfor -%}{%- endif -%}<|endoftext|>{%- endif -%}"
    "{%- endfor -%}{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)
"""Pictures and recordings where they stand in a message; system messages are left out: it has learned none."""


def tokenizer() -> Tokenizer:
    """Bytes 0 to 255 are the first tokens, in the order of the byte-level alphabet."""
    alphabet = sorted(ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(alphabet)}
    merges: list[tuple[str, str]] = []
    cutter = ByteLevel(add_prefix_space=False, use_regex=False)
    for character in dict.fromkeys(CHARACTERS):
        ((letters, _),) = cutter.pre_tokenize_str(character)
        for end in range(1, len(letters)):
            pair = letters[:end], letters[end]
            if "".join(pair) not in vocabulary:
                vocabulary["".join(pair)] = len(vocabulary)
                merges.append(pair)
    made = Tokenizer(BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = cutter
    made.decoder = ByteLevelDecoder()
    made.add_tokens([AddedToken(text, special=False, normalized=False) for text in WORDS])
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in CONTROLS])
    if made.get_vocab_size() > VOCAB_SIZE:
        raise ValueError(f"{made.get_vocab_size()} tokens, the model has rows for {VOCAB_SIZE}")
    return made


def write_vocabulary(folder: Path) -> None:
    """tokenizer.json, tokenizer_config.json and chat_template.jinja of the checkpoint."""
    tokenizer().save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": END}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(TEMPLATE + "\n", encoding="utf-8")
