#include "sampling/sampler.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/check.h"
#include "bind/bind.h"
#include "bind/gil.h"
#include "sampling/order.h"

namespace nb = nanobind;
using namespace nb::literals;
using native::Sampled;
using native::Sampler;
using native::SamplerParams;

namespace {

using Ints = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Logits = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using List = std::vector<int64_t>;
// Whoever makes masks makes them as signed words.
using Masks = std::vector<std::optional<Ints>>;

void make_params(SamplerParams* self, const nb::kwargs& given) {
    SamplerParams params;
    size_t num_taken = 0;
    SamplerParams::each(params, [&](const char* name, auto& value, auto, auto) {
        if (!given.contains(name))
            throw nb::type_error(("SamplerParams: " + std::string(name) + " is missing").c_str());
        if (!nb::try_cast(given[name], value))
            throw nb::type_error(("SamplerParams: " + std::string(name) + " is no such number").c_str());
        ++num_taken;
    });
    SamplerParams::each_list(params, [&](const char* name, auto& list) {
        if (!given.contains(name))
            throw nb::type_error(("SamplerParams: " + std::string(name) + " is missing").c_str());
        if (!nb::try_cast(given[name], list))
            throw nb::type_error(("SamplerParams: " + std::string(name) + " is no such list").c_str());
        ++num_taken;
    });
    if (given.size() != num_taken)
        throw nb::type_error("SamplerParams: it has only what SamplerParams.names says");
    params.check();
    new (self) SamplerParams(params);
}

nb::tuple names_of_params() {
    SamplerParams params;
    nb::list names;
    SamplerParams::each(params, [&](const char* name, auto, auto, auto) { names.append(name); });
    SamplerParams::each_list(params, [&](const char* name, const auto&) { names.append(name); });
    return nb::tuple(names);
}

nb::tuple default_order() {
    nb::list names;
    for (const std::string_view name : native::filter_names) names.append(nb::str(name.data(), name.size()));
    return nb::tuple(names);
}

void name_tokens(Sampler& sampler, const std::vector<nb::bytes>& pieces) {
    const native::OneAtATime::Use use(sampler.door());
    std::vector<std::string> copies;
    copies.reserve(pieces.size());
    for (const nb::bytes& piece : pieces) copies.emplace_back(piece.c_str(), piece.size());
    sampler.name_tokens(std::move(copies));
}

void set(Sampler& sampler, int64_t slot, const SamplerParams& params, int64_t num_prompt_tokens) {
    const native::OneAtATime::Use use(sampler.door());
    sampler.set(slot, params, num_prompt_tokens);
}

void keep(Sampler& sampler, const Ints& tokens, const Ints& positions, const Ints& slots) {
    const native::OneAtATime::Use use(sampler.door());
    const auto span_of = [](const Ints& array) { return std::span(array.data(), array.size()); };
    sampler.keep(span_of(tokens), span_of(positions), span_of(slots));
}

void prepare_slot(Sampler& sampler, int64_t slot, int64_t source, int64_t length) {
    const native::OneAtATime::Use use(sampler.door());
    sampler.prepare_slot(slot, source, length);
}

native::LogitsRows rows_of(const Sampler& sampler, const Logits& logits) {
    if (logits.shape(1) != static_cast<size_t>(sampler.vocab_size()))
        native::bad_value("logits: rows of ", logits.shape(1), " for a vocabulary of ", sampler.vocab_size(),
                          " tokens");
    return {logits.data(), static_cast<int64_t>(logits.shape(0))};
}

std::vector<Sampled> score(Sampler& sampler, const Logits& logits, const List& rows, const List& tokens,
                           int64_t num_top) {
    const native::OneAtATime::Use use(sampler.door());
    const native::LogitsRows found = rows_of(sampler, logits);
    const native::WithoutGil released;
    return sampler.score(found, rows, tokens, num_top);
}

std::vector<Sampled> sample(Sampler& sampler, const Logits& logits, const List& rows, const List& slots,
                            const List& positions, const Masks& masks) {
    const native::OneAtATime::Use use(sampler.door());
    const native::LogitsRows found = rows_of(sampler, logits);
    std::vector<native::TokenMask> spans;
    for (const auto& mask : masks)
        spans.push_back(mask
                            ? native::TokenMask(reinterpret_cast<const uint32_t*>(mask->data()), mask->size())
                            : native::TokenMask());
    const native::WithoutGil released;
    return sampler.sample(found, rows, slots, positions, spans);
}

}  // namespace

void bind_sampler(nb::module_& m) {
    auto params = nb::class_<SamplerParams>(m, "SamplerParams").def("__init__", &make_params);
    params.attr("names") = names_of_params();
    params.attr("default_order") = default_order();
    nb::class_<Sampled>(m, "Sampled")
        .def_ro("token", &Sampled::token)
        .def_ro("logprob", &Sampled::logprob)
        .def_ro("top", &Sampled::top)
        .def_ro("error", &Sampled::error);
    nb::class_<Sampler>(m, "Sampler")
        .def(nb::init<int64_t, int64_t, int64_t>(), nb::kw_only(), "vocab_size"_a, "n_slots"_a, "n_ctx"_a)
        .def_prop_ro("vocab_size", &Sampler::vocab_size)
        .def_prop_ro("n_slots", &Sampler::num_slots)
        .def("name_tokens", &name_tokens, "pieces"_a)
        .def("set", &set, "slot"_a, "params"_a, "num_prompt_tokens"_a = 0)
        .def("keep", &keep, "tokens"_a.noconvert(), "positions"_a.noconvert(), "slots"_a.noconvert())
        .def("prepare_slot", &prepare_slot, "slot"_a, "source"_a, "length"_a)
        .def("score", &score, "logits"_a.noconvert(), "rows"_a, "tokens"_a, "num_top"_a)
        .def("sample", &sample, "logits"_a.noconvert(), "rows"_a, "slots"_a, "positions"_a,
             "masks"_a = Masks());
}
