"""Flags of llama-server and llama-cli that are pasted here: what takes their place, or why there is nothing to set.

Those that have a meaning here are flags of our own, under llama.cpp's names (its common/arg.cpp); these have none.
"""

from __future__ import annotations

_GROUPS = (
    ("-tb --threads-batch", "prompts and decoding use the same threads; give -t"),
    (
        "-C --cpu-mask -Cr --cpu-range --cpu-strict --prio --poll -Cb --cpu-mask-batch -Crb --cpu-range-batch "
        "--cpu-strict-batch --prio-batch --poll-batch --numa",
        "each stage binds its threads to cores by itself; -t says how many, OMP_PLACES where",
    ),
    (
        "--mlock --no-mmap -dio --direct-io -ndio --no-direct-io -lm --load-mode --check-tensors --repack -nr "
        "--no-repack --no-host",
        "slices are mapped from the slice store, and libllama repacks them where that is faster; leave it out",
    ),
    ("-mg --main-gpu", "--devices names the device of each stage"),
    (
        "-ot --override-tensor -cmoe --cpu-moe -ncmoe --n-cpu-moe -ncffn --n-cpu-ffn --op-offload --no-op-offload",
        "a stage holds and computes all of its layers on its device; --devices and --layers choose",
    ),
    (
        "-kvo --kv-offload -nkvo --no-kv-offload -kvu --kv-unified -no-kvu --no-kv-unified --swa-full "
        "--context-shift --no-context-shift --keep -dt --defrag-thold -cram --cache-ram -ctxcp --ctx-checkpoints "
        "--cache-reuse --cache-prompt --no-cache-prompt -sps --slot-prompt-similarity --slot-save-path",
        "each slot has a cache of its own, on the stage's device, and known prefixes are always reused",
    ),
    (
        "--rope-scaling --rope-scale --rope-freq-base --rope-freq-scale --yarn-orig-ctx --yarn-ext-factor "
        "--yarn-attn-factor --yarn-beta-slow --yarn-beta-fast --override-kv",
        "the file's own metadata counts; change it there",
    ),
    (
        "--lora-init-without-apply --control-vector --control-vector-scaled",
        "control vectors are not served, and an adapter for requests that ask for it has scale 0; give --lora FILE:0",
    ),
    (
        "-hfd --hf-repo-draft -hfrd --spec-draft-hf",
        "name the model that drafts as --draft hf:REPO:QUANT",
    ),
    (
        "-cd --ctx-size-draft -ngld --gpu-layers-draft --n-gpu-layers-draft -td --threads-draft -ctkd "
        "--cache-type-k-draft -ctvd --cache-type-v-draft",
        "a model that drafts has its layers on --draft-device, and texts as long as the large one; leave it out",
    ),
    (
        "--draft-max --draft-min --draft-n --draft-n-min --draft-p-min --spec-ngram-size-n --spec-ngram-size-m "
        "--spec-ngram-min-hits",
        "what steps take and how many guesses were right decides how many are made; leave it out",
    ),
    ("-mmu --mmproj-url", "give the file as --mmproj FILE"),
    ("--mmproj-auto", "give --mmproj auto for the file beside the model on the hub"),
    ("--no-mmproj --no-mmproj-auto", "pictures are read where --mmproj names a file; leave it out"),
    ("--no-mmproj-offload --mmproj-offload", "pictures are encoded on CPU cores; leave it out"),
    ("--image-min-tokens --image-max-tokens", "the mmproj file's own numbers count; leave it out"),
    ("--image --audio --video", "pictures come with the messages of a chat; sounds and films are not read"),
    ("--rpc", "the stages of `cluster up` take its place; --stages and --devices say where"),
    ("-fit --fit -fitt --fit-target", "`cluster plan` says what fits; --headroom is what is left alone"),
    ("-nocb --no-cont-batching", "requests always join and leave at any step"),
    (
        "-hff --hf-file -hft --hf-token -dr --docker-repo",
        "name the file as -hf REPO:FILE.gguf; the variable HF_TOKEN holds a token",
    ),
    ("--api-key-file", "give --api-key @FILE"),
    ("-to --timeout --threads-http --api-prefix", "leave it out"),
    ("--props --slots --no-slots --jinja --no-jinja --rerank --reranking", "it is so anyway; leave it out"),
    ("--ui --no-ui --webui --no-webui", "give --page or --no-page"),
    (
        "--chat-template-kwargs --reasoning-format --reasoning-budget",
        "each request says so itself, as chat_template_kwargs and reasoning_effort",
    ),
    ("--pooling", "the file's own pooling counts; each request may ask for another"),
    (
        "--grammar --grammar-file -j --json-schema -jf --json-schema-file",
        "each request brings its own, as response_format or grammar",
    ),
    ("--sampler-seq --sampling-seq", "--samplers names them in full; leave it out"),
    (
        "-cnv --conversation -st --single-turn -i --interactive -if --interactive-first -mli --multiline-input "
        "-sysf --system-prompt-file --in-prefix --in-suffix -sp --special",
        "cluster run continues a text as it is; cluster chat has conversations",
    ),
    ("--prompt-cache --prompt-cache-all --prompt-cache-ro", "known prefixes are reused without it"),
    (
        "-co --color --simple-io --verbose-prompt --perf --no-perf",
        "the text is printed as it is; -v adds figures on stderr",
    ),
    (
        "--log-disable --log-file --log-colors -lv --verbosity --log-verbosity --log-prefix --log-timestamps",
        "leave it out",
    ),
)
REASONS = {flag: reason for flags, reason in _GROUPS for flag in flags.split()}
