"""Train or adapt image-text encoders and captioners on anybody's pairs.

    examples -> pixels -> augment -> towers + objective -> fit (checkpoints) -> validation -> export -> card

`rsrag train encoder` and `rsrag train captioner` are thin commands over `encoder.train_encoder` and
`captioner.train_captioner`. Training needs torch, and the extra `rsrag[training]` to export to ONNX; what is
exported needs neither.
"""
