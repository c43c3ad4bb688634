#include "slice/measure.h"

namespace native {

Needs measure(SliceOptions options) {
    options.is_dry_run = true;
    check_options(options);
    const SliceFile file = read_slice_file(options.path);
    const Device device = find_device(options.device);
    const ModelPtr model = load_model(file, device, options);
    Boundary boundary(file, file.hidden_width ? file.hidden_width : llama_model_n_embd(model.get()),
                      llama_model_n_embd_out(model.get()));
    const std::vector<ContextPtr> contexts = make_contexts(model.get(), file, device, options, &boundary);

    Needs needs;
    needs.weight_bytes = llama_model_size(model.get());
    needs.vocab_size = llama_vocab_n_tokens(llama_model_get_vocab(model.get()));
    for (const ContextPtr& context : contexts)
        for (const auto& [_, bytes] : llama_get_memory_breakdown(context.get())) {
            needs.kv_bytes += bytes.context;
            needs.compute_bytes += bytes.compute;
        }
    return needs;
}

}  // namespace native
