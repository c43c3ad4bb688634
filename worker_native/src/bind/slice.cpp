#include "slice/slice.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <exception>
#include <memory>
#include <utility>

#include "base/check.h"
#include "bind/bind.h"
#include "bind/gil.h"

namespace nb = nanobind;
using namespace nb::literals;
using native::Microbatch;
using native::OneAtATime;
using native::Slice;

namespace {

using Ints = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Flags = nb::ndarray<const bool, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Hidden = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<nb::numpy, float, nb::ndim<2>>;
using WantedRows = nb::ndarray<nb::numpy, const float, nb::ndim<2>>;
using RowList = std::vector<int64_t>;
using PictureList = std::vector<std::array<int64_t, 4>>;  // slot, first row, width, height
using AdapterList = std::vector<std::pair<nb::bytes, float>>;

// Calls a Python callable from inside a load; an exception in it cancels the load and is raised afterwards.
struct Progress {
    nb::object callback;
    std::exception_ptr error;

    bool operator()(float share) {
        const nb::gil_scoped_acquire gil;
        try {
            return !callback(share).is(Py_False);
        } catch (...) {
            error = std::current_exception();
            return false;
        }
    }
};

void load(Slice* self, std::string path, std::string device, int64_t n_ctx, int64_t n_slots, int64_t n_batch,
          int64_t n_ubatch, int64_t n_threads, std::string type_k, std::string type_v, std::string flash_attn,
          bool use_extra_bufts, bool use_mmap, bool embeds, const AdapterList& adapters,
          nb::object callback) {
    if (!callback.is_none() && !PyCallable_Check(callback.ptr()))
        throw nb::type_error("progress: must be callable or None");
    Progress progress{std::move(callback), nullptr};
    native::SliceOptions options{std::move(path),
                                 std::move(device),
                                 n_ctx,
                                 n_slots,
                                 n_batch,
                                 n_ubatch,
                                 n_threads,
                                 std::move(type_k),
                                 std::move(type_v),
                                 std::move(flash_attn),
                                 use_extra_bufts,
                                 use_mmap,
                                 embeds,
                                 {},
                                 nullptr};
    for (const auto& [data, scale] : adapters) options.adapters.push_back({data.c_str(), data.size(), scale});
    bool is_cancelled = false;
    options.progress = [&](float share) {
        is_cancelled = native::is_ending() || (!progress.callback.is_none() && !progress(share));
        return !is_cancelled;
    };
    try {
        const native::WithoutGil released;
        new (self) Slice(options);
    } catch (const std::exception&) {
        if (progress.error) std::rethrow_exception(progress.error);
        if (is_cancelled) native::failed("load: cancelled by progress");
        throw;
    }
}

Rows make_rows(size_t num_rows, size_t width) {
    auto data = std::make_unique_for_overwrite<float[]>(num_rows * width);
    float* values = data.get();
    const nb::capsule owner(data.release(), [](void* p) noexcept { delete[] static_cast<float*>(p); });
    return Rows(values, {num_rows, width}, owner);
}

Microbatch copy_rows(const Ints& tokens, const Ints& positions, const Ints& slots, const Flags& wants_logits,
                     bool embeds, const PictureList& pictures, bool non_causal) {
    const auto copy = [](const Ints& array) {
        return std::vector<int32_t>(array.data(), array.data() + array.size());
    };
    const auto* flags = reinterpret_cast<const uint8_t*>(wants_logits.data());
    Microbatch batch{copy(tokens), copy(positions), copy(slots), {}, nullptr, embeds, false, {}, non_causal};
    for (const auto& given : pictures) {
        std::array<int32_t, 4> numbers;
        for (size_t i = 0; i < numbers.size(); ++i)
            numbers[i] = native::in_range("pictures", given[i], 0, INT32_MAX);
        batch.pictures.push_back({numbers[0], {numbers[1], numbers[2], numbers[3]}});
    }
    // any non-zero byte is true
    for (size_t row = 0; row < wants_logits.size(); ++row) batch.wants_logits.push_back(flags[row] != 0);
    return batch;
}

void check_hidden(const Slice& slice, const Microbatch& batch, const std::optional<Hidden>& hidden) {
    if (!slice.file().is_first() && !hidden)
        native::bad_value("hidden: only the first slice can do without; this one begins at layer ",
                          slice.file().first);
    const auto width = slice.row_widths(batch.is_pictured).in;
    if (hidden && (hidden->shape(0) != batch.tokens.size() || hidden->shape(1) != size_t(width)))
        native::bad_value("hidden: (", hidden->shape(0), ", ", hidden->shape(1), ") for ",
                          batch.tokens.size(), " rows of a model of width ", width);
}

nb::object forward(Slice& slice, const Ints& tokens, const Ints& positions, const Ints& slots,
                   const Flags& wants_logits, const std::optional<Hidden>& hidden, bool embeds,
                   const PictureList& pictures, bool non_causal) {
    const OneAtATime::Use use(slice.door());
    slice.check_open();
    Microbatch batch = copy_rows(tokens, positions, slots, wants_logits, embeds, pictures, non_causal);
    batch.is_pictured = hidden && (slice.file().is_first() || !pictures.empty());
    check_hidden(slice, batch, hidden);
    batch.hidden = hidden ? hidden->data() : nullptr;
    slice.check_microbatch(batch);
    if (!pictures.empty() && !hidden) native::bad_value("hidden: none for rows of pictures");
    std::optional<Rows> out;
    if (!slice.file().is_last())
        out = make_rows(batch.tokens.size(), slice.row_widths(batch.is_pictured).out);
    {
        const native::WithoutGil released;
        slice.forward(std::move(batch), out ? out->data() : nullptr);
    }
    return out ? nb::cast(*out) : nb::none();
}

void check_microbatch(const Slice& slice, const Ints& tokens, const Ints& positions, const Ints& slots,
                      const Flags& wants_logits, bool embeds, const PictureList& pictures, bool non_causal) {
    slice.check_open();
    slice.check_microbatch(copy_rows(tokens, positions, slots, wants_logits, embeds, pictures, non_causal));
}

// Shares the slice's own memory, for as long as the array lives.
template <auto method>
WantedRows wanted(Slice& slice) {
    const OneAtATime::Use use(slice.door());
    slice.check_open();
    const auto block = (slice.*method)();
    auto* shared = new std::shared_ptr<const native::LogitsBlock>(block);
    const nb::capsule owner(
        shared, [](void* p) noexcept { delete static_cast<std::shared_ptr<const native::LogitsBlock>*>(p); });
    return WantedRows(block->values(),
                      {static_cast<size_t>(block->num_rows()), static_cast<size_t>(block->width())}, owner);
}

Rows logits(Slice& slice, const RowList& rows) {
    const OneAtATime::Use use(slice.door());
    slice.check_open();
    slice.check_rows(rows);
    Rows out = make_rows(rows.size(), slice.vocab_size());
    const native::WithoutGil released;
    slice.logits(rows, out.data());
    return out;
}

double measure_rows(Slice& slice, int64_t num_rows) {
    const OneAtATime::Use use(slice.door());
    slice.check_open();
    const native::WithoutGil released;
    return slice.measure_rows(num_rows);
}

nb::dict timings(Slice& slice) {
    nb::dict result;
    result["steps"] = double(slice.timings().num_steps);
    result["rows"] = double(slice.timings().num_rows);
    result["filler_rows"] = double(slice.timings().num_filler_rows);
    result["forward_ms"] = slice.timings().forward_ms;
    return result;
}

// A method of an open slice that no other thread is in.
template <auto method>
struct Guarded;
template <class Result, class... Args, Result (Slice::*method)(Args...)>
struct Guarded<method> {
    static Result call(Slice& slice, Args... args) {
        const OneAtATime::Use use(slice.door());
        slice.check_open();
        return (slice.*method)(args...);
    }
};
template <class Result, class... Args, Result (Slice::*method)(Args...) const>
struct Guarded<method> {
    static Result call(Slice& slice, Args... args) {
        const OneAtATime::Use use(slice.door());
        slice.check_open();
        return (slice.*method)(args...);
    }
};

}  // namespace

void bind_slice(nb::module_& m) {
    nb::class_<Slice>(m, "Slice")
        .def("__init__", &load, "path"_a, nb::kw_only(), "device"_a = "CPU", "n_ctx"_a, "n_slots"_a,
             "n_batch"_a = 512, "n_ubatch"_a = 512, "n_threads"_a = 1, "type_k"_a = "f16", "type_v"_a = "f16",
             "flash_attn"_a = "auto", "use_extra_bufts"_a = true, "use_mmap"_a = true, "embeds"_a = false,
             "adapters"_a = AdapterList(), "progress"_a.none() = nb::none())
        .def_prop_ro("first", [](const Slice& slice) { return slice.file().first; })
        .def_prop_ro("end", [](const Slice& slice) { return slice.file().end; })
        .def_prop_ro("num_layers", [](const Slice& slice) { return slice.file().num_layers; })
        .def_prop_ro("is_first", [](const Slice& slice) { return slice.file().is_first(); })
        .def_prop_ro("is_last", [](const Slice& slice) { return slice.file().is_last(); })
        .def_prop_ro("hidden_width", &Slice::hidden_width)
        .def_prop_ro("picture_width", [](const Slice& slice) { return slice.row_widths(true).in; })
        .def_prop_ro("picture_out_width", [](const Slice& slice) { return slice.row_widths(true).out; })
        .def_prop_ro("vocab_size", &Slice::vocab_size)
        .def_prop_ro("embedding_width", &Slice::embedding_width)
        .def_prop_ro("is_encoder", &Slice::is_encoder)
        .def_prop_ro("can_truncate", &Slice::can_truncate)
        .def_prop_ro("n_ctx", &Slice::n_ctx)
        .def_prop_ro("n_slots", &Slice::n_slots)
        .def_prop_ro("n_batch", &Slice::n_batch)
        .def_prop_ro("weight_bytes", &Slice::weight_bytes)
        .def_prop_ro("kv_bytes", &Slice::kv_bytes)
        .def_prop_ro("compute_bytes", &Guarded<&Slice::compute_bytes>::call)
        .def_prop_ro("timings", &timings)
        .def("set_threads", &Guarded<&Slice::set_threads>::call, "n_threads"_a)
        .def("set_scales", &Guarded<&Slice::set_scales>::call, "scales"_a)
        .def("set_row_sizes", &Guarded<&Slice::set_row_sizes>::call, "sizes"_a)
        .def("measure_rows", &measure_rows, "num_rows"_a)
        .def("forward", &forward, "tokens"_a.noconvert(), "positions"_a.noconvert(), "slots"_a.noconvert(),
             "wants_logits"_a.noconvert(), "hidden"_a.noconvert().none() = nb::none(), nb::kw_only(),
             "embeds"_a = false, "pictures"_a = PictureList(), "non_causal"_a = false)
        .def("check_microbatch", &check_microbatch, "tokens"_a.noconvert(), "positions"_a.noconvert(),
             "slots"_a.noconvert(), "wants_logits"_a.noconvert(), nb::kw_only(), "embeds"_a = false,
             "pictures"_a = PictureList(), "non_causal"_a = false)
        .def("wanted_logits", &wanted<&Slice::wanted_logits>)
        .def("wanted_embeddings", &wanted<&Slice::wanted_embeddings>)
        .def("logits", &logits, "rows"_a)
        .def("slot_length", &Guarded<&Slice::slot_length>::call, "slot"_a)
        .def("prepare_slot", &Guarded<&Slice::prepare_slot>::call, "slot"_a, "source"_a, "length"_a)
        .def("close", [](Slice& slice) {
            const OneAtATime::Use use(slice.door());
            const native::WithoutGil released;
            slice.close();
        });
}
