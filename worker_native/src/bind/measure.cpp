#include "slice/measure.h"

#include <nanobind/stl/string.h>

#include "bind/bind.h"
#include "bind/gil.h"

namespace nb = nanobind;
using namespace nb::literals;
using native::Needs;

namespace {

Needs measure(std::string path, std::string device, int64_t n_ctx, int64_t n_slots, int64_t n_batch,
              int64_t n_ubatch, std::string type_k, std::string type_v, std::string flash_attn,
              bool use_extra_bufts) {
    native::SliceOptions options;
    options.path = std::move(path);
    options.device = std::move(device);
    options.n_ctx = n_ctx;
    options.n_slots = n_slots;
    options.n_batch = n_batch;
    options.n_ubatch = n_ubatch;
    options.type_k = std::move(type_k);
    options.type_v = std::move(type_v);
    options.flash_attn = std::move(flash_attn);
    options.use_extra_bufts = use_extra_bufts;
    return native::measure(std::move(options));
}

}  // namespace

void bind_measure(nb::module_& m) {
    nb::class_<Needs>(m, "Needs")
        .def_ro("weight_bytes", &Needs::weight_bytes)
        .def_ro("kv_bytes", &Needs::kv_bytes)
        .def_ro("compute_bytes", &Needs::compute_bytes)
        .def_ro("vocab_size", &Needs::vocab_size);
    m.def("measure", &measure, "path"_a, nb::kw_only(), "device"_a = "CPU", "n_ctx"_a, "n_slots"_a,
          "n_batch"_a = 512, "n_ubatch"_a = 512, "type_k"_a = "f16", "type_v"_a = "f16",
          "flash_attn"_a = "auto", "use_extra_bufts"_a = true, nb::call_guard<native::WithoutGil>());
}
