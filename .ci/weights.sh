#!/bin/sh
# Put the starter encoder's weights where this environment's rsrag looks for them (share/rsrag/starter).
set -eu
venv=$1
from=$2
to=$venv/share/rsrag/starter
[ -f "$to/image.onnx" ] && [ -f "$to/text.onnx" ] && [ -f "$to/tokenizer.json" ] && exit 0
if [ -z "$from" ]; then
    echo "The starter weights are missing: put image.onnx, text.onnx and tokenizer.json in models/starter," >&2
    echo "or say where they are: make demo STARTER=/folder" >&2
    exit 1
fi
mkdir -p "$to"
cp "$from/image.onnx" "$from/text.onnx" "$from/tokenizer.json" "$to/"
chmod u+w "$to"/*
echo "starter weights: $(du -sm "$to" | cut -f1) MB from $from"
