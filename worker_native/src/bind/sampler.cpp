#include "sampling/sampler.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.h"

namespace nb = nanobind;
using namespace nb::literals;
using native::Sampled;
using native::SamplerParams;

namespace {

void make_params(SamplerParams* self, double temperature, int64_t top_k, double top_p, double min_p,
                 uint64_t seed, double repeat_penalty, int64_t repeat_last_n, double presence_penalty,
                 double frequency_penalty, int64_t logprobs) {
    const SamplerParams params{
        temperature,       top_k,   top_p, min_p, seed, repeat_penalty, repeat_last_n, presence_penalty,
        frequency_penalty, logprobs};
    params.check();
    new (self) SamplerParams(params);
}

}  // namespace

void bind_sampler(nb::module_& m) {
    nb::class_<SamplerParams>(m, "SamplerParams")
        .def("__init__", &make_params, nb::kw_only(), "temperature"_a, "top_k"_a, "top_p"_a, "min_p"_a,
             "seed"_a, "repeat_penalty"_a, "repeat_last_n"_a, "presence_penalty"_a, "frequency_penalty"_a,
             "logprobs"_a);
    nb::class_<Sampled>(m, "Sampled")
        .def_ro("row", &Sampled::row)
        .def_ro("slot", &Sampled::slot)
        .def_ro("token", &Sampled::token)
        .def_ro("logprob", &Sampled::logprob)
        .def_ro("top", &Sampled::top)
        .def_ro("error", &Sampled::error);
}
