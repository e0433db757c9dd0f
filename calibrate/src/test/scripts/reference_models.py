"""Small planted models and what they must compute.

    python3 calibrate/src/test/scripts/reference_models.py calibrate/src/test/resources/models

writes, for every model, NAME/model/ (config.json and model.safetensors: a checkpoint like any other, with seeded random
weights) and NAME/expected.safetensors: what the published definition of the architecture gives, in float64 from the weights
as they are stored. Nothing is shared with the Java code: this file is the second opinion. It needs numpy and nothing else.

NAME/expected.safetensors holds, for sequence s and layer l:
    tokens.s               I64 [n]          token ids
    logits.s               F64 [n, vocab]
    hidden.l.s             F32 [n, hidden]  behind layer l (s = 0 only)
    experts.l.s            I64 [n, k]       chosen experts, best first; none for dense layers
    weights.l.s            F64 [n, k]       what their outputs are multiplied by
    margin.l.s             F64 [n]          how far the nearest other choice is, in scores
    variant.NAME           F32 [n, vocab]   logits of sequence 0 with one feature changed
NAME/variants.json lists the variants: what differs, and the changed config keys where the config decides it (a runtime
given that config must compute those logits); the others are faults that a forward pass could have.
"""

import json
import math
import pathlib
import sys

import numpy as np

LENGTHS = [40, 17, 1]
VOCAB = 48
HIDDEN = 32


# --- files ---------------------------------------------------------------------------------------------------------------


def bf16(x):
    """The nearest BF16 values (ties to even) and their bits."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    high = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return (high.astype(np.uint32) << 16).view(np.float32), high


def stored(kind, x):
    """(the values as they are read back, their bytes)."""
    if kind == "BF16":
        values, bits = bf16(x)
        return values.astype(np.float64), bits.tobytes()
    kept = np.asarray(x, {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I64": np.int64}[kind])
    return kept if kind == "I64" else kept.astype(np.float64), kept.tobytes()


def write_safetensors(path, tensors):
    """tensors: name -> (element type, array)."""
    header, body, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, (kind, array) in tensors.items():
        data = stored(kind, array)[1]
        header[name] = {"dtype": kind, "shape": list(np.shape(array)), "data_offsets": [at, at + len(data)]}
        body.append(data)
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(body))


class Weights:
    """Seeded weights under the checkpoint's names; a matrix maps unit variance to about `gain` squared."""

    def __init__(self, seed, kind):
        self.random = np.random.Generator(np.random.PCG64(seed))
        self.kind = kind
        self.kinds = {}
        self.values = {}

    def put(self, name, array, kind=None):
        self.kinds[name] = kind or self.kind
        self.values[name] = stored(self.kinds[name], array)[0]

    def matrix(self, name, rows, cols, gain=1.0):
        self.put(name + ".weight", self.random.standard_normal((rows, cols)) * gain / math.sqrt(cols))

    def bias(self, name, rows, size=0.5):
        self.put(name, self.random.standard_normal(rows) * size)

    def norm(self, name, size):
        self.put(name + ".weight", 1 + 0.3 * self.random.standard_normal(size))

    def __getitem__(self, name):
        return self.values[name]

    def __contains__(self, name):
        return name in self.values

    def file(self):
        return {name: (self.kinds[name], value) for name, value in self.values.items()}


# --- parts ---------------------------------------------------------------------------------------------------------------


def rms_norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + eps) * weight


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gated_unit(x, gate, up, down):
    g = x @ gate.T
    return (g / (1 + np.exp(-g)) * (x @ up.T)) @ down.T


def linear(w, module, x):
    y = x @ w[module + ".weight"].T
    return y + w[module + ".bias"] if module + ".bias" in w else y


def yarn_correction(factor, weight):
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0


def rope_frequencies(config, size):
    """(angle per position of each pair, what cosine and sine are multiplied by)."""
    s = config.get("rope_scaling") or config.get("rope_parameters")
    theta = config["rope_theta"] or s["rope_theta"]
    plain = np.array([theta ** (-2.0 * i / size) for i in range(size // 2)])
    kind = "default" if s is None else s.get("rope_type", s.get("type"))
    if kind == "default":
        return plain, 1.0
    if kind == "linear":
        return plain / s["factor"], 1.0
    if kind == "llama3":
        old, factor = s["original_max_position_embeddings"], s["factor"]
        low, high = s["low_freq_factor"], s["high_freq_factor"]
        out = []
        for f in plain:
            wavelength = 2 * math.pi / f
            if wavelength < old / high:
                out.append(f)
            elif wavelength > old / low:
                out.append(f / factor)
            else:
                smooth = (old / wavelength - low) / (high - low)
                out.append((1 - smooth) * f / factor + smooth * f)
        return np.array(out), 1.0
    if kind == "yarn":
        factor, old = s["factor"], s["original_max_position_embeddings"]

        def dimension(rotations):
            return size * math.log(old / (rotations * 2 * math.pi)) / (2 * math.log(theta))

        low, high = math.floor(dimension(s.get("beta_fast", 32))), math.ceil(dimension(s.get("beta_slow", 1)))
        low, high = max(low, 0), min(high, size - 1)
        if low == high:
            high += 0.001
        ramp = np.clip((np.arange(size // 2) - low) / (high - low), 0, 1)
        size_factor = yarn_correction(factor, s.get("mscale", 1)) / yarn_correction(factor, s.get("mscale_all_dim", 0))
        return plain / factor * ramp + plain * (1 - ramp), size_factor
    raise ValueError(kind)


def rotate(x, frequencies, size_factor, interleaved):
    """x: [tokens, heads, size]; position = row number."""
    angles = np.arange(x.shape[0])[:, None] * frequencies
    turn = (size_factor * np.exp(1j * angles))[:, None, :]
    half = x.shape[-1] // 2
    real, imaginary = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :half], x[..., half:])
    z = (real + 1j * imaginary) * turn
    out = np.empty_like(x)
    if interleaved:
        out[..., 0::2], out[..., 1::2] = z.real, z.imag
    else:
        out[..., :half], out[..., half:] = z.real, z.imag
    return out


def attend(q, k, v, scale):
    """Causal; q, k: [tokens, heads, size], v: [tokens, heads, value size]."""
    scores = np.einsum("ihd,jhd->hij", q, k) * scale
    n = q.shape[0]
    scores = np.where(np.tril(np.ones((n, n), bool)), scores, -np.inf)
    return np.einsum("hij,jhd->ihd", softmax(scores), v).reshape(n, -1)


# --- attention -----------------------------------------------------------------------------------------------------------


def latent_attention(config, w, at, x, faults):
    heads, nope, rope = config["num_attention_heads"], config["qk_nope_head_dim"], config["qk_rope_head_dim"]
    rank, value, n, eps = config["kv_lora_rank"], config["v_head_dim"], len(x), config["rms_norm_eps"]
    if config.get("q_lora_rank"):
        q = linear(w, at + "q_a_proj", x)
        q = linear(w, at + "q_b_proj", rms_norm(q, w[at + "q_a_layernorm.weight"], eps))
    else:
        q = linear(w, at + "q_proj", x)
    q = q.reshape(n, heads, nope + rope)
    latent = linear(w, at + "kv_a_proj_with_mqa", x)
    kv = linear(w, at + "kv_b_proj", rms_norm(latent[:, :rank], w[at + "kv_a_layernorm.weight"], eps))
    kv = kv.reshape(n, heads, nope + value)
    turn = (*rope_frequencies(config, rope), "halves" not in faults)
    rotated_key = rotate(latent[:, None, rank:], *turn)
    q = np.concatenate([q[..., :nope], rotate(q[..., nope:], *turn)], -1)
    k = np.concatenate([kv[..., :nope], np.repeat(rotated_key, heads, 1)], -1)
    scale = (nope + rope) ** -0.5
    scaling = config.get("rope_scaling")
    if scaling and scaling.get("mscale_all_dim") and "plain softmax scale" not in faults:
        scale *= yarn_correction(scaling["factor"], scaling["mscale_all_dim"]) ** 2
    return linear(w, at + "o_proj", attend(q, k, kv[..., nope:], scale))


def grouped_attention(config, w, at, x, faults):
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    size, n, eps = config.get("head_dim", HIDDEN // heads), len(x), config["rms_norm_eps"]
    if "no bias" in faults:
        w = {name: value for name, value in w.values.items() if not name.endswith("_proj.bias")}
    q = linear(w, at + "q_proj", x).reshape(n, heads, size)
    k = linear(w, at + "k_proj", x).reshape(n, groups, size)
    v = linear(w, at + "v_proj", x).reshape(n, groups, size)
    normed = at + "q_norm.weight" in w and "no head norms" not in faults
    turn = (*rope_frequencies(config, size), "interleaved" in faults)
    if normed and "norms after rope" not in faults:
        q, k = rms_norm(q, w[at + "q_norm.weight"], eps), rms_norm(k, w[at + "k_norm.weight"], eps)
    q, k = rotate(q, *turn), rotate(k, *turn)
    if normed and "norms after rope" in faults:
        q, k = rms_norm(q, w[at + "q_norm.weight"], eps), rms_norm(k, w[at + "k_norm.weight"], eps)
    of_head = [h % groups if "heads dealt in turn" in faults else h // (heads // groups) for h in range(heads)]
    return linear(w, at + "o_proj", attend(q, k[:, of_head], v[:, of_head], size**-0.5))


# --- routing -------------------------------------------------------------------------------------------------------------


def choose(scores, count):
    """(the best `count`, best first; how far the next one is behind the last of them)."""
    order = np.argsort(-scores, -1, kind="stable")
    ranked = np.take_along_axis(scores, order, -1)
    behind = ranked[:, count - 1] - ranked[:, count] if count < scores.shape[-1] else np.full(len(scores), np.inf)
    return order[:, :count], behind


def limit_to_groups(scores, groups, kept, best_of_group):
    """Scores of experts outside the best groups become -inf; and how far the next group is behind."""
    tokens, experts = scores.shape
    split = scores.reshape(tokens, groups, experts // groups)
    chosen, behind = choose(np.sort(split, -1)[..., -best_of_group:].sum(-1), kept)
    keep = np.zeros((tokens, groups), bool)
    np.put_along_axis(keep, chosen, True, -1)
    return np.where(keep[..., None], split, -np.inf).reshape(tokens, experts), behind


def route_deepseek_v3(config, w, at, logits, faults):
    scores = 1 / (1 + np.exp(-logits))
    bias = 0 if "no correction bias" in faults else w[at + "gate.e_score_correction_bias"]
    limited, group_margin = limit_to_groups(scores + bias, config["n_group"], config["topk_group"], 2)
    experts, margin = choose(limited, config["num_experts_per_tok"])
    source = scores + bias if "biased weights" in faults else scores
    weights = np.take_along_axis(source, experts, -1)
    if config["norm_topk_prob"]:
        weights = weights / (weights.sum(-1, keepdims=True) + 1e-20)
    return experts, weights * config["routed_scaling_factor"], np.minimum(margin, group_margin)


def route_deepseek_v2(config, w, at, logits, faults):
    scores = softmax(logits)
    limited, group_margin = scores, np.inf
    if config["topk_method"] == "group_limited_greedy":
        best = 2 if "groups by two" in faults else 1
        limited, group_margin = limit_to_groups(scores, config["n_group"], config["topk_group"], best)
    experts, margin = choose(limited, config["num_experts_per_tok"])
    weights = np.take_along_axis(scores, experts, -1)
    if config["norm_topk_prob"]:
        weights = weights / (weights.sum(-1, keepdims=True) + 1e-20)
    else:
        weights = weights * config["routed_scaling_factor"]
    return experts, weights, np.minimum(margin, group_margin)


def route_softmax(config, w, at, logits, faults):
    """Qwen3-MoE and Mixtral; Mixtral always divides by the sum."""
    experts, margin = choose(softmax(logits), config["num_experts_per_tok"])
    weights = np.take_along_axis(softmax(logits), experts, -1)
    renormalised = config["norm_topk_prob"] if config["model_type"] == "qwen3_moe" else "raw weights" not in faults
    return experts, weights / weights.sum(-1, keepdims=True) if renormalised else weights, margin


# --- feed-forward and model ----------------------------------------------------------------------------------------------


def dense(w, at, x):
    return gated_unit(x, *(w[f"{at}{p}_proj.weight"] for p in ("gate", "up", "down")))


def feed_forward(config, w, layer, x, faults, seen):
    at = f"model.layers.{layer}.mlp."
    names = ("gate_proj", "up_proj", "down_proj")
    if config["model_type"] == "mixtral":
        at = f"model.layers.{layer}.block_sparse_moe."
        names = ("w3", "w1", "w2") if "gate and up exchanged" in faults else ("w1", "w3", "w2")
    if at + "gate.weight" not in w:
        return dense(w, at, x)
    route = {"deepseek_v2": route_deepseek_v2, "deepseek_v32": route_deepseek_v3}.get(config["model_type"], route_softmax)
    experts, weights, margin = route(config, w, at, x @ w[at + "gate.weight"].T, faults)
    seen[layer] = (experts, weights, margin)
    out = np.zeros_like(x)
    for token in range(len(x)):
        for expert, weight in zip(experts[token], weights[token]):
            unit = (w[f"{at}experts.{expert}.{n}.weight"] for n in names)
            out[token] += weight * gated_unit(x[token], *unit)
    if config.get("n_shared_experts") and "no shared experts" not in faults:
        out += dense(w, at + "shared_experts.", x)
    return out


def forward(config, w, ids, faults=()):
    """(logits, hidden states behind each layer, layer -> experts, weights and margins)."""
    eps = config["rms_norm_eps"]
    attention = latent_attention if "kv_lora_rank" in config else grouped_attention
    x, hidden, seen = w["model.embed_tokens.weight"][ids], [], {}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        x = x + attention(config, w, at + "self_attn.", rms_norm(x, w[at + "input_layernorm.weight"], eps), faults)
        x = x + feed_forward(config, w, layer, rms_norm(x, w[at + "post_attention_layernorm.weight"], eps), faults, seen)
        hidden.append(x)
    head = w["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"]
    return rms_norm(x, w["model.norm.weight"], eps) @ head.T, hidden, seen


# --- models --------------------------------------------------------------------------------------------------------------

COMMON = {
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "vocab_size": VOCAB,
    "num_hidden_layers": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": False,
    "attention_bias": False,
}

LATENT = COMMON | {
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "kv_lora_rank": 12,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 16,
    "v_head_dim": 8,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "moe_intermediate_size": 8,
    "n_routed_experts": 8,
    "n_shared_experts": 2,
}


def yarn(**more):
    return {"type": "yarn", "factor": 8, "original_max_position_embeddings": 128, "beta_fast": 32, "beta_slow": 1} | more


MODELS = {
    "deepseek-v2-lite": LATENT
    | {
        "architectures": ["DeepseekV2ForCausalLM"],
        "model_type": "deepseek_v2",
        "q_lora_rank": None,
        "topk_method": "greedy",
        "scoring_func": "softmax",
        "num_experts_per_tok": 3,
        "norm_topk_prob": False,
        "routed_scaling_factor": 1.0,
        "n_group": 1,
        "topk_group": 1,
        "rope_scaling": yarn(mscale=0.707, mscale_all_dim=0.707),
    },
    "deepseek-v2": LATENT
    | {
        "architectures": ["DeepseekV2ForCausalLM"],
        "model_type": "deepseek_v2",
        "q_lora_rank": 16,
        "topk_method": "group_limited_greedy",
        "scoring_func": "softmax",
        "num_experts_per_tok": 3,
        "norm_topk_prob": False,
        "routed_scaling_factor": 4.0,
        "n_group": 4,
        "topk_group": 2,
        "rope_scaling": yarn(mscale=1.0, mscale_all_dim=0.707),
    },
    "deepseek-v3.2": LATENT
    | {
        "architectures": ["DeepseekV32ForCausalLM"],
        "model_type": "deepseek_v32",
        "q_lora_rank": 16,
        "attention_bias": True,
        "topk_method": "noaux_tc",
        "scoring_func": "sigmoid",
        "num_experts_per_tok": 3,
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.5,
        "n_group": 4,
        "topk_group": 2,
        "index_n_heads": 2,
        "index_head_dim": 16,
        "index_topk": 48,
        "rope_scaling": yarn(mscale=1.0, mscale_all_dim=1.0),
    },
    "qwen3-moe": COMMON
    | {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 12,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "rope_scaling": None,
        "num_experts": 8,
        "num_experts_per_tok": 3,
        "norm_topk_prob": True,
        "moe_intermediate_size": 8,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [1],
        "use_sliding_window": False,
        "sliding_window": 16,
    },
    "qwen3-moe-sparse-step": COMMON
    | {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "attention_bias": True,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128},
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "norm_topk_prob": False,
        "moe_intermediate_size": 8,
        "decoder_sparse_step": 2,
        "mlp_only_layers": [],
        "use_sliding_window": False,
        "sliding_window": None,
    },
    "qwen2": COMMON
    | {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "sliding_window": 16,
        "max_window_layers": 0,
    },
    "llama": COMMON
    | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "mixtral": COMMON
    | {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "num_hidden_layers": 2,
        "intermediate_size": 8,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "sliding_window": None,
    },
}
MODELS |= {
    "qwen3-moe-every-layer": MODELS["qwen3-moe"] | {"mlp_only_layers": []},
    "deepseek-v2-lite-26": MODELS["deepseek-v2-lite"] | {"num_hidden_layers": 26},
}

ELEMENT_TYPES = {"llama": "F32", "mixtral": "F16"}

# name -> (changed config, fault of the forward pass); one of the two is empty
LATENT_VARIANTS = {
    "no yarn": ({"rope_scaling": None}, ()),
    "rotated as halves": ({}, ("halves",)),
    "plain softmax scale": ({}, ("plain softmax scale",)),
    "no shared experts": ({}, ("no shared experts",)),
}
GROUPED_VARIANTS = {
    "rotated as neighbours": ({}, ("interleaved",)),
    "heads dealt in turn": ({}, ("heads dealt in turn",)),
}
VARIANTS = {
    "deepseek-v2-lite": LATENT_VARIANTS
    | {
        "weights renormalised": ({"norm_topk_prob": True}, ()),
        "no mscale": ({"rope_scaling": yarn(mscale=0.0, mscale_all_dim=0.0)}, ()),
        "four experts": ({"num_experts_per_tok": 4}, ()),
    },
    "deepseek-v2": LATENT_VARIANTS
    | {
        "other beta": ({"rope_scaling": yarn(mscale=1.0, mscale_all_dim=0.707, beta_fast=4, beta_slow=0.5)}, ()),
        "rotation not scaled": ({"rope_scaling": yarn(mscale=0.707, mscale_all_dim=0.707)}, ()),
        "no groups": ({"topk_method": "greedy"}, ()),
        "groups by their two best": ({}, ("groups by two",)),
        "weights not scaled": ({"routed_scaling_factor": 1.0}, ()),
    },
    "deepseek-v3.2": LATENT_VARIANTS
    | {
        "one group kept of two": ({"n_group": 2, "topk_group": 1}, ()),
        "weights not renormalised": ({"norm_topk_prob": False}, ()),
        "no correction bias": ({}, ("no correction bias",)),
        "weights with the bias": ({}, ("biased weights",)),
    },
    "qwen3-moe": GROUPED_VARIANTS
    | {
        "weights not renormalised": ({"norm_topk_prob": False}, ()),
        "no head norms": ({}, ("no head norms",)),
        "norms after rope": ({}, ("norms after rope",)),
    },
    "qwen3-moe-sparse-step": {
        "weights renormalised": ({"norm_topk_prob": True}, ()),
        "no bias": ({}, ("no bias",)),
        "no yarn": ({"rope_scaling": None}, ()),
        "no head norms": ({}, ("no head norms",)),
    },
    "qwen2": GROUPED_VARIANTS
    | {
        "no bias": ({}, ("no bias",)),
        "other theta": ({"rope_theta": 10000.0}, ()),
        "rope in one section": (
            {"rope_theta": None, "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 20000.0}},
            (),
        ),
    },
    "llama": GROUPED_VARIANTS
    | {
        "plain rope": ({"rope_scaling": None}, ()),
        "linear rope": ({"rope_scaling": {"type": "linear", "factor": 4.0}}, ()),
        "yarn": (
            {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}},
            (),
        ),
    },
    "mixtral": GROUPED_VARIANTS
    | {
        "weights not renormalised": ({}, ("raw weights",)),
        "gate and up exchanged": ({}, ("gate and up exchanged",)),
        "three experts": ({"num_experts_per_tok": 3}, ()),
        "linear rope": ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, ()),
    },
    "qwen3-moe-every-layer": {},
    "deepseek-v2-lite-26": {},
}


def latent_attention_weights(config, w, at):
    heads, rope, rank = config["num_attention_heads"], config["qk_rope_head_dim"], config["kv_lora_rank"]
    query = heads * (config["qk_nope_head_dim"] + rope)
    biased = config["attention_bias"]
    if config["q_lora_rank"]:
        w.matrix(at + "q_a_proj", config["q_lora_rank"], HIDDEN)
        if biased:
            w.bias(at + "q_a_proj.bias", config["q_lora_rank"])
        w.norm(at + "q_a_layernorm", config["q_lora_rank"])
        w.matrix(at + "q_b_proj", query, config["q_lora_rank"], 1.5)
    else:
        w.matrix(at + "q_proj", query, HIDDEN, 1.5)
    w.matrix(at + "kv_a_proj_with_mqa", rank + rope, HIDDEN, 1.5)
    if biased:
        w.bias(at + "kv_a_proj_with_mqa.bias", rank + rope)
    w.norm(at + "kv_a_layernorm", rank)
    w.matrix(at + "kv_b_proj", heads * (config["qk_nope_head_dim"] + config["v_head_dim"]), rank, 1.5)
    w.matrix(at + "o_proj", HIDDEN, heads * config["v_head_dim"])
    if biased:
        w.bias(at + "o_proj.bias", HIDDEN)
    if "index_topk" in config:
        size = config["index_head_dim"]
        w.matrix(at + "indexer.wq_b", config["index_n_heads"] * size, config["q_lora_rank"])
        w.matrix(at + "indexer.wk", size, HIDDEN)
        w.norm(at + "indexer.k_norm", size)
        w.bias(at + "indexer.k_norm.bias", size)
        w.matrix(at + "indexer.weights_proj", config["index_n_heads"], HIDDEN)


def grouped_attention_weights(config, w, at):
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim", HIDDEN // heads)
    for name, rows, gain in (("q", heads, 1.5), ("k", groups, 1.5), ("v", groups, 1.0)):
        w.matrix(f"{at}{name}_proj", rows * size, HIDDEN, gain)
        if config["attention_bias"] or config["model_type"] == "qwen2":
            w.bias(f"{at}{name}_proj.bias", rows * size)
    w.matrix(at + "o_proj", HIDDEN, heads * size)
    if config["attention_bias"]:
        w.bias(at + "o_proj.bias", HIDDEN)
    if config["model_type"] == "qwen3_moe":
        w.norm(at + "q_norm", size)
        w.norm(at + "k_norm", size)


def unit_weights(w, modules, width):
    gate, up, down = modules
    w.matrix(gate, width, HIDDEN)
    w.matrix(up, width, HIDDEN)
    w.matrix(down, HIDDEN, width)


def has_experts(config, layer):
    match config["model_type"]:
        case "qwen3_moe":
            return layer not in config["mlp_only_layers"] and (layer + 1) % config["decoder_sparse_step"] == 0
        case "mixtral":
            return True
        case "llama" | "qwen2":
            return False
    return layer >= config["first_k_dense_replace"] and layer % config["moe_layer_freq"] == 0


def feed_forward_weights(config, w, layer):
    at, names = f"model.layers.{layer}.mlp.", ("gate_proj", "up_proj", "down_proj")
    width = config.get("moe_intermediate_size", config["intermediate_size"])
    if config["model_type"] == "mixtral":
        at, names = f"model.layers.{layer}.block_sparse_moe.", ("w1", "w3", "w2")
    if not has_experts(config, layer):
        unit_weights(w, [at + n for n in names], config["intermediate_size"])
        return
    w.matrix(at + "gate", 8, HIDDEN, 1.5)
    if config.get("topk_method") == "noaux_tc":
        w.put(at + "gate.e_score_correction_bias", w.random.standard_normal(8) * 0.3, "F32")
    for expert in range(8):
        unit_weights(w, [f"{at}experts.{expert}.{n}" for n in names], width)
    if config.get("n_shared_experts"):
        unit_weights(w, [f"{at}shared_experts.{n}" for n in names], width * config["n_shared_experts"])


def make_weights(config, seed, kind):
    w = Weights(seed, kind)
    attention = latent_attention_weights if "kv_lora_rank" in config else grouped_attention_weights
    w.put("model.embed_tokens.weight", w.random.standard_normal((VOCAB, HIDDEN)) * 0.6)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        w.norm(at + "input_layernorm", HIDDEN)
        attention(config, w, at + "self_attn.")
        w.norm(at + "post_attention_layernorm", HIDDEN)
        feed_forward_weights(config, w, layer)
    w.norm("model.norm", HIDDEN)
    if not config["tie_word_embeddings"]:
        w.matrix("lm_head", VOCAB, HIDDEN, 3.0)
    return w


# --- what is expected ----------------------------------------------------------------------------------------------------


def expected(name, config, w, sequences):
    """(tensors, variants, smallest routing margin)."""
    out, smallest = {}, np.inf
    for s, ids in enumerate(sequences):
        logits, hidden, seen = forward(config, w, ids)
        out[f"tokens.{s}"] = ("I64", ids)
        out[f"logits.{s}"] = ("F64", logits)
        for layer, (experts, weights, margin) in seen.items():
            out[f"experts.{layer}.{s}"] = ("I64", experts)
            out[f"weights.{layer}.{s}"] = ("F64", weights)
            out[f"margin.{layer}.{s}"] = ("F64", margin)
            smallest = min(smallest, margin.min())
        if s == 0:
            first = logits
            for layer, x in enumerate(hidden):
                out[f"hidden.{layer}.0"] = ("F32", x)
    variants = []
    for label, (changes, faults) in VARIANTS[name].items():
        logits, _, seen = forward(config | changes, w, sequences[0], faults)
        out["variant." + label] = ("F32", logits)
        variants.append({"name": label, "config": changes})
        smallest = min([smallest] + [margin.min() for _, _, margin in seen.values()])
        print(f"    {label}: moves logits by up to {np.abs(logits - first).max():.3f}")
    return out, variants, smallest


def main(folder):
    for number, (name, config) in enumerate(MODELS.items()):
        seed = 1000 * (number + 1)
        while True:
            w = make_weights(config, seed, ELEMENT_TYPES.get(name, "BF16"))
            sequences = [w.random.integers(0, VOCAB, n) for n in LENGTHS]
            print(name, "seed", seed)
            tensors, variants, margin = expected(name, config, w, sequences)
            if margin > 6e-4 / max(3, config["num_hidden_layers"]):
                break
            seed += 1
        logits = tensors["logits.0"][1]
        print(f"    logits: spread {logits.std():.2f}, largest {np.abs(logits).max():.1f}; smallest margin {margin:.1e}")
        used = {l: np.unique(tensors[f"experts.{l}.0"][1]).size for l in range(3) if f"experts.{l}.0" in tensors}
        print(f"    experts in use by layer: {used}; parameters {sum(v.size for v in w.values.values())}")
        model = folder / name / "model"
        model.mkdir(parents=True, exist_ok=True)
        (model / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        write_safetensors(model / "model.safetensors", w.file())
        write_safetensors(folder / name / "expected.safetensors", tensors)
        (folder / name / "variants.json").write_text(json.dumps(variants, indent=2) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
