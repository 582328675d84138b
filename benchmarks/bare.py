"""The bare script that `ask.py` compares with: import chromadb, open the store's folder, run the queries.

    python bare.py CHROMA_FOLDER VECTORS_FOLDER QUERY [QUERY ...]            vectors from NAME.npy
    python bare.py CHROMA_FOLDER VECTORS_FOLDER QUERY ... --encode WEIGHTS QUESTION [IMAGE]

QUERY is COLLECTION:NAME:K. With --encode the vectors `text` and `scene` are computed here, by onnxruntime and
tokenizers; nothing of rsrag is imported either way.
"""

import sys

import chromadb
import numpy as np
from chromadb.config import Settings


def encoded(weights: str, question: str, image: str) -> dict[str, np.ndarray]:
    import onnxruntime
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(f"{weights}/tokenizer.json").encode(question).ids
    text = onnxruntime.InferenceSession(f"{weights}/text.onnx", providers=["CPUExecutionProvider"])
    rows = np.array([ids], np.int64)
    vectors = {"text": text.run(None, {"input_ids": rows, "attention_mask": np.ones_like(rows)})[0][0]}
    if image:
        from PIL import Image

        tower = onnxruntime.InferenceSession(f"{weights}/image.onnx", providers=["CPUExecutionProvider"])
        picture = Image.open(image).convert("RGB").resize((128, 128), Image.Resampling.LANCZOS)
        pixels = np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255
        vectors["scene"] = tower.run(None, {"pixels": pixels})[0][0]
    return vectors


def main() -> None:
    words = [*sys.argv[1:], "--encode"]
    at = words.index("--encode")
    words, encode = words[:at], words[at + 1 : -1]
    folder, vectors_folder, *queries = words
    vectors = encoded(encode[0], encode[1], encode[2] if len(encode) > 2 else "") if encode else {}
    client = chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
    for query in queries:
        collection, name, k = query.split(":")
        vector = vectors[name] if name in vectors else np.load(f"{vectors_folder}/{name}.npy")
        found = client.get_collection(collection, embedding_function=None).query(
            query_embeddings=vector[None, :], n_results=int(k), include=["distances"]
        )
        print(collection, name, len(found["ids"][0]))


if __name__ == "__main__":
    main()
