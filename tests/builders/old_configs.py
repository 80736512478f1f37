"""Published ``config.json`` contents of dense models of older layouts, without the keys that say
nothing of their shape, and the parameters that were published (or that the checkpoint holds).
"""

OLD = {
    "gpt2-xl": (1.5576e9, {
        "model_type": "gpt2", "n_ctx": 1024, "n_embd": 1600, "n_head": 25, "n_layer": 48, "n_positions": 1024,
        "vocab_size": 50257,
    }),
    "gpt-j-6b": (6.0509e9, {
        "model_type": "gptj", "n_embd": 4096, "n_head": 16, "n_inner": None, "n_layer": 28, "n_positions": 2048,
        "rotary": True, "rotary_dim": 64, "tie_word_embeddings": False, "vocab_size": 50400,
    }),
    "gpt-neo-2.7b": (2.6513e9, {
        "model_type": "gpt_neo", "attention_types": [[["global", "local"], 16]], "hidden_size": 2560,
        "attention_layers": ["global", "local"] * 16, "intermediate_size": None, "max_position_embeddings": 2048,
        "num_heads": 20, "num_layers": 32, "vocab_size": 50257, "window_size": 256,
    }),
    "gpt-neox-20b": (20.5546e9, {
        "model_type": "gpt_neox", "hidden_size": 6144, "intermediate_size": 24576, "max_position_embeddings": 2048,
        "num_attention_heads": 64, "num_hidden_layers": 44, "tie_word_embeddings": False, "torch_dtype": "float16",
        "vocab_size": 50432,
    }),
    "opt-350m": (0.3312e9, {
        "model_type": "opt", "do_layer_norm_before": False, "ffn_dim": 4096, "hidden_size": 1024,
        "max_position_embeddings": 2048, "num_attention_heads": 16, "num_hidden_layers": 24, "torch_dtype": "float16",
        "vocab_size": 50272, "word_embed_proj_dim": 512,
    }),
    "opt-6.7b": (6.6585e9, {
        "model_type": "opt", "do_layer_norm_before": True, "ffn_dim": 16384, "hidden_size": 4096,
        "max_position_embeddings": 2048, "num_attention_heads": 32, "num_hidden_layers": 32, "torch_dtype": "float16",
        "vocab_size": 50272, "word_embed_proj_dim": 4096,
    }),
    "opt-13b": (12.8535e9, {
        "model_type": "opt", "do_layer_norm_before": True, "ffn_dim": 20480, "hidden_size": 5120,
        "max_position_embeddings": 2048, "num_attention_heads": 40, "num_hidden_layers": 40, "torch_dtype": "float16",
        "vocab_size": 50272, "word_embed_proj_dim": 5120,
    }),
    "bloom-7b1": (7.0690e9, {
        "model_type": "bloom", "hidden_size": 4096, "n_head": 32, "n_inner": None, "n_layer": 30, "offset_alibi": 100,
        "seq_length": 2048, "vocab_size": 250880,
    }),
    "bloomz-560m": (0.5592e9, {
        "model_type": "bloom", "n_embed": 1024, "n_layer": 24, "num_attention_heads": 16, "seq_length": 2048,
        "vocab_size": 250880,
    }),
    "starcoder": (15.5175e9, {
        "model_type": "gpt_bigcode", "multi_query": True, "n_embd": 6144, "n_head": 48, "n_inner": 24576, "n_layer": 40,
        "n_positions": 8192, "torch_dtype": "float32", "vocab_size": 49152,
    }),
    "starcoder2-3b": (3.0304e9, {
        "model_type": "starcoder2", "hidden_size": 3072, "intermediate_size": 12288, "max_position_embeddings": 16384,
        "num_attention_heads": 24, "num_hidden_layers": 30, "num_key_value_heads": 2, "sliding_window": 4096,
        "torch_dtype": "bfloat16", "use_bias": True, "vocab_size": 49152,
    }),
    "falcon-7b": (6.9217e9, {
        "model_type": "falcon", "alibi": False, "bias": False, "hidden_size": 4544, "multi_query": True,
        "new_decoder_architecture": False, "num_attention_heads": 71, "num_hidden_layers": 32, "parallel_attn": True,
        "torch_dtype": "bfloat16", "vocab_size": 65024,
    }),
    "falcon-7b as first released": (6.9217e9, {
        "model_type": "RefinedWebModel", "alibi": False, "bias": False, "hidden_size": 4544, "multi_query": True,
        "n_head": 71, "n_layer": 32, "parallel_attn": True, "torch_dtype": "bfloat16", "vocab_size": 65024,
    }),
    "falcon-40b as first released": (41.3036e9, {
        "model_type": "RefinedWeb", "alibi": False, "bias": False, "hidden_size": 8192, "n_head": 128, "n_head_kv": 8,
        "n_layer": 60, "parallel_attn": True, "torch_dtype": "bfloat16", "vocab_size": 65024,
    }),
    "falcon-rw-1b": (1.3116e9, {
        "model_type": "falcon", "alibi": True, "bias": True, "hidden_size": 2048, "multi_query": False,
        "new_decoder_architecture": False, "num_attention_heads": 32, "num_hidden_layers": 24, "parallel_attn": False,
        "torch_dtype": "bfloat16", "vocab_size": 50304,
    }),
    "mpt-7b": (6.6493e9, {
        "model_type": "mpt", "attn_config": {"alibi": True, "attn_type": "multihead_attention", "qk_ln": False},
        "d_model": 4096, "expansion_ratio": 4, "learned_pos_emb": True, "max_seq_len": 2048, "n_heads": 32,
        "n_layers": 32, "no_bias": True, "torch_dtype": "bfloat16", "vocab_size": 50432,
    }),
    "phi-2": (2.7797e9, {
        "model_type": "phi", "hidden_size": 2560, "intermediate_size": 10240, "max_position_embeddings": 2048,
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "tie_word_embeddings": False,
        "torch_dtype": "float16", "vocab_size": 51200,
    }),
}  # fmt: skip
