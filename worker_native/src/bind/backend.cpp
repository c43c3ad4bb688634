#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <tuple>

#include "base/abort_guard.h"
#include "base/check.h"
#include "bind/bind.h"
#include "bind/gil.h"
#include "device/compute.h"
#include "graph/primitives/registry.h"
#include "kernels/kernel.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using TypeRow = std::tuple<std::string, int, int64_t, int64_t, bool>;
using KernelRow = std::tuple<std::string, int, int>;

std::vector<TypeRow> ggml_types() {
    std::vector<TypeRow> rows;
    for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
        const auto type = static_cast<ggml_type>(i);
        if (ggml_blck_size(type) > 0 && ggml_type_size(type) > 0)
            rows.emplace_back(ggml_type_name(type), i, ggml_blck_size(type), ggml_type_size(type),
                              ggml_is_quantized(type));
    }
    return rows;
}

std::vector<KernelRow> kernel_rows(std::string primitive) {
    std::vector<KernelRow> rows;
    for (const native::KernelEntry& entry : native::kernel_family(primitive))
        rows.emplace_back(entry.name, entry.source, entry.result);
    return rows;
}

void set_threads(std::string device, int64_t num_threads) {
    const int32_t count = native::in_range("num_threads", num_threads, 1, GGML_MAX_N_THREADS);
    native::Compute& compute = native::compute_on(device);
    const native::WithoutGil released;
    compute.set_threads(count);
}

template <class Function>
Function rpc_function(const char* name) {
    ggml_backend_reg_t rpc = ggml_backend_reg_by_name("RPC");
    if (!rpc) native::failed("rpc: this build of ggml has no RPC backend; build it with -DGGML_RPC=ON");
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(rpc, name));
}

// The names of the server's devices, which belong to this process from now on.
std::vector<std::string> add_rpc_server(std::string endpoint) {
    const auto add = rpc_function<ggml_backend_reg_t (*)(const char*)>("ggml_backend_rpc_add_server");
    const native::WithoutGil released;
    const native::AbortGuard guard;  // ggml gives up where it cannot connect
    ggml_backend_reg_t server = add(endpoint.c_str());
    if (!server) native::failed("rpc: ", endpoint, " has no devices");
    ggml_backend_register(server);
    std::vector<std::string> names;
    for (size_t i = 0; i < ggml_backend_reg_dev_count(server); ++i)
        names.emplace_back(ggml_backend_dev_name(ggml_backend_reg_dev_get(server, i)));
    return names;
}

void serve_rpc(std::string endpoint, std::string device, int64_t num_threads) {
    using Serve = void (*)(const char*, const char*, size_t, size_t, ggml_backend_dev_t*);
    const auto serve = rpc_function<Serve>("ggml_backend_rpc_start_server");
    const int32_t count = native::in_range("num_threads", num_threads, 1, GGML_MAX_N_THREADS);
    ggml_backend_dev_t devices[] = {native::find_device(device).handle()};
    const nb::gil_scoped_release released;
    serve(endpoint.c_str(), nullptr, static_cast<size_t>(count), 1, devices);
}

}  // namespace

void bind_backend(nb::module_& m) {
    m.def("ggml_types", &ggml_types);
    m.def("primitive_names", &native::primitive_names);
    m.def("kernels", &kernel_rows, "primitive"_a);
    m.def("pays_to_pack", &native::pays_to_pack);
    m.def("set_threads", &set_threads, "device"_a, "num_threads"_a);
    m.def("add_rpc_server", &add_rpc_server, "endpoint"_a);
    m.def("serve_rpc", &serve_rpc, "endpoint"_a, "device"_a = "CPU", "num_threads"_a = 1);
}
