#include "slice/adapters.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "base/abort_guard.h"
#include "base/check.h"
#include "base/log.h"

namespace native {
namespace {

using FilePtr = std::unique_ptr<FILE, Releaser<fclose>>;

llama_adapter_lora* load_adapter(llama_model* model, const AdapterFile& file) {
    if (!std::isfinite(file.scale)) bad_value("adapters: a scale is not finite");
    if (file.size_bytes == 0) bad_value("adapters: one is empty");
    // Opened for reading, so that nothing is written through the pointer.
    const FilePtr opened(fmemopen(const_cast<void*>(file.data), file.size_bytes, "rb"));
    if (!opened) throw OutOfMemory("adapters: no memory to read one");
    const LoggedErrors errors;
    const AbortGuard guard;
    llama_adapter_lora* adapter = llama_adapter_lora_init_from_file_ptr(model, opened.get());
    if (!adapter) failed("adapters: ", errors.first("libllama gave no reason"));
    return adapter;
}

}  // namespace

Adapters load_adapters(llama_model* model, const std::vector<AdapterFile>& files) {
    Adapters adapters;
    for (const AdapterFile& file : files) {
        adapters.loaded.push_back(load_adapter(model, file));
        adapters.scales.push_back(file.scale);
    }
    return adapters;
}

void use_adapters(llama_context* context, Adapters& adapters) {
    if (adapters.loaded.empty()) return;
    llama_set_adapters_lora(context, adapters.loaded.data(), adapters.loaded.size(), adapters.scales.data());
}

void scale_adapters(llama_context* context, Adapters& adapters, const std::vector<float>& scales) {
    if (scales.size() != adapters.loaded.size())
        bad_value("scales: ", scales.size(), " of them; give one for each of ", adapters.loaded.size(),
                  " adapters");
    if (!std::ranges::all_of(scales, [](float scale) { return std::isfinite(scale); }))
        bad_value("scales: one is not finite");
    if (scales == adapters.scales) return;
    adapters.scales = scales;
    use_adapters(context, adapters);
}

}  // namespace native
