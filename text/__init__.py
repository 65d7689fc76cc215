"""From text to batches: tokenizers, corpora, token files, batches."""
