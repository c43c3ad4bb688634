#include "device/device.h"

#include "base/check.h"

namespace native {
namespace {

// Whether the CPU device multiplies a weight that lies in this buffer type.
bool multiplies(ggml_backend_dev_t cpu, ggml_backend_buffer_type_t type_of_buffer, ggml_type type,
                int64_t num_rows, int64_t num_columns) {
    const GgmlPtr context(ggml_init({ggml_tensor_overhead() * 8, nullptr, true}));
    if (!context) throw std::bad_alloc();
    const BufferPtr empty(ggml_backend_buft_alloc_buffer(type_of_buffer, 0));
    if (!empty) return false;
    ggml_tensor* weight = ggml_new_tensor_2d(context.get(), type, num_columns, num_rows);
    ggml_tensor* input = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, num_columns, 512);
    ggml_tensor* product = ggml_mul_mat(context.get(), weight, input);
    weight->buffer = empty.get();
    return ggml_backend_dev_supports_op(cpu, product);
}

}  // namespace

std::string Device::kind() const {
    switch (ggml_backend_dev_type(handle_)) {
        case GGML_BACKEND_DEVICE_TYPE_CPU:
            return "cpu";
        case GGML_BACKEND_DEVICE_TYPE_IGPU:
            return "igpu";
        case GGML_BACKEND_DEVICE_TYPE_ACCEL:
            return "accel";
        default:
            return "gpu";
    }
}

uint64_t Device::memory_total_bytes() const {
    size_t free_bytes = 0, total_bytes = 0;
    ggml_backend_dev_memory(handle_, &free_bytes, &total_bytes);
    return total_bytes;
}

uint64_t Device::memory_free_bytes() const {
    size_t free_bytes = 0, total_bytes = 0;
    ggml_backend_dev_memory(handle_, &free_bytes, &total_bytes);
    return free_bytes;
}

std::string Device::id() const {
    ggml_backend_dev_props props{};
    ggml_backend_dev_get_props(handle_, &props);
    return props.device_id ? props.device_id : "";
}

std::string Device::backend() const { return ggml_backend_reg_name(ggml_backend_dev_backend_reg(handle_)); }

ggml_backend_dev_caps Device::capabilities() const {
    ggml_backend_dev_props props{};
    ggml_backend_dev_get_props(handle_, &props);
    return props.caps;
}

std::vector<std::string> Device::buffer_types() const {
    std::vector<std::string> names{ggml_backend_buft_name(ggml_backend_dev_buffer_type(handle_))};
    if (ggml_backend_buffer_type_t host = ggml_backend_dev_host_buffer_type(handle_))
        names.emplace_back(ggml_backend_buft_name(host));
    const auto list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(handle_), "ggml_backend_dev_get_extra_bufts"));
    if (list)
        for (ggml_backend_buffer_type_t* extra = list(handle_); extra && *extra; ++extra)
            names.emplace_back(ggml_backend_buft_name(*extra));
    return names;
}

std::vector<Device> devices() {
    std::vector<Device> all;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) all.emplace_back(ggml_backend_dev_get(i));
    return all;
}

Device find_device(const std::string& name) {
    std::string known;
    for (const Device& device : devices()) {
        if (device.kind() == "accel") continue;  // a helper of the CPU, holds no layers
        if (device.name() == name) return device;
        known += (known.empty() ? "" : ", ") + device.name();
    }
    bad_value("device: there is no '", name, "'; this process has ", known);
}

std::string build_text() {
    std::string backends;
    for (size_t i = 0; i < ggml_backend_reg_count(); ++i)
        backends += text(i == 0 ? "" : ",", ggml_backend_reg_name(ggml_backend_reg_get(i)));
    return text("llama.cpp ", llama_version(), ", ggml ", ggml_version(), " (", ggml_commit(), "), ",
                backends);
}

ggml_backend_buffer_type_t extra_buffer_type(ggml_type type, int64_t num_rows, int64_t num_columns) {
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (!cpu) failed("device: this build of ggml has no CPU device");
    const auto list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(cpu), "ggml_backend_dev_get_extra_bufts"));
    if (!list) return nullptr;
    for (ggml_backend_buffer_type_t* extra = list(cpu); extra && *extra; ++extra)
        if (multiplies(cpu, *extra, type, num_rows, num_columns)) return *extra;
    return nullptr;
}

}  // namespace native
