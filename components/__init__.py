"""The parts of a transformer, one idea per file, each written in einops, in plain torch, and fused for speed."""
