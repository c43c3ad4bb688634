#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <exception>
#include <optional>

#include "base/check.h"
#include "bind/bind.h"
#include "bind/gil.h"
#include "quantize/model.h"
#include "quantize/rows.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Rows = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<nb::ro, uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using MutableBytes = nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Lets signals and a Python callable look at work that runs without the GIL; an exception ends the work.
class Watch {
  public:
    explicit Watch(const nb::object& callback) : callback_(callback) {
        if (!callback.is_none() && !PyCallable_Check(callback.ptr()))
            throw nb::type_error("progress: must be callable or None");
    }

    bool operator()(int64_t num_done) {
        if (native::is_ending()) return false;
        const nb::gil_scoped_acquire gil;
        try {
            if (PyErr_CheckSignals() != 0) throw nb::python_error();
            if (!callback_.is_none()) callback_(num_done);
            return true;
        } catch (...) {
            error_ = std::current_exception();
            return false;
        }
    }

    // Runs `work`, which calls this from time to time; raises what stopped it.
    template <class Work>
    void run(const Work& work) {
        bool is_whole = false;
        {
            const native::WithoutGil released;
            is_whole = work();
        }
        if (error_) std::rethrow_exception(error_);
        if (!is_whole) native::failed("quantize: the interpreter is ending");
    }

  private:
    const nb::object& callback_;
    std::exception_ptr error_;
};

ggml_type type_of(int64_t number) {
    return static_cast<ggml_type>(native::in_range("type", number, 0, GGML_TYPE_COUNT - 1));
}

int threads_of(int64_t number) { return native::in_range("num_threads", number, 1, GGML_MAX_N_THREADS); }

void quantize_rows(int64_t type, const Rows& source, const std::optional<Rows>& importance,
                   const MutableBytes& target, int64_t num_threads, const nb::object& progress) {
    if (importance && importance->shape(1) != source.shape(1))
        native::bad_value("importance: rows of ", importance->shape(1), " for rows of ", source.shape(1));
    const native::QuantizeJob job{type_of(type),
                                  source.data(),
                                  int64_t(source.shape(0)),
                                  int64_t(source.shape(1)),
                                  importance ? importance->data() : nullptr,
                                  importance ? int64_t(importance->shape(0)) : 0,
                                  target.data(),
                                  target.size()};
    const int threads = threads_of(num_threads);
    Watch watch(progress);
    watch.run([&] { return native::quantize_rows(job, threads, std::ref(watch)); });
}

void dequantize_rows(int64_t type, const Bytes& source, const Floats& target, int64_t num_threads,
                     const nb::object& progress) {
    const ggml_type known = type_of(type);
    const int threads = threads_of(num_threads);
    Watch watch(progress);
    watch.run([&] {
        return native::dequantize_rows(known, source.data(), source.size(), target.data(),
                                       int64_t(target.size()), threads, std::ref(watch));
    });
}

void check_blocks(int64_t type, const Bytes& source) {
    const ggml_type known = type_of(type);
    const native::WithoutGil released;
    native::check_blocks(known, source.data(), source.size());
}

std::vector<int> row_types() {
    std::vector<int> types;
    for (int i = 0; i < GGML_TYPE_COUNT; ++i)
        if (native::is_row_type(static_cast<ggml_type>(i))) types.push_back(i);
    return types;
}

bool needs_importance(int64_t type) { return ggml_quantize_requires_imatrix(type_of(type)); }

using Importance = std::vector<std::tuple<std::string, nb::ndarray<const float, nb::ndim<1>, nb::c_contig>>>;

void quantize_model(std::string source, std::string target, int64_t file_type, int64_t num_threads,
                    bool allow_requantize, bool quantize_output, bool pure, bool dry_run,
                    std::optional<int64_t> output_type, std::optional<int64_t> embedding_type,
                    const std::vector<std::tuple<std::string, int64_t>>& tensor_types,
                    const Importance& importance, std::vector<std::tuple<std::string, std::string>> texts,
                    std::vector<std::tuple<std::string, int64_t>> numbers) {
    native::ModelQuantizeJob job;
    job.source = std::move(source);
    job.target = std::move(target);
    job.file_type = native::file_type_of(file_type);
    job.num_threads = threads_of(num_threads);
    job.allow_requantize = allow_requantize;
    job.quantize_output = quantize_output;
    job.pure = pure;
    job.dry_run = dry_run;
    if (output_type) job.output_type = type_of(*output_type);
    if (embedding_type) job.embedding_type = type_of(*embedding_type);
    for (const auto& [pattern, type] : tensor_types) job.tensor_types.emplace_back(pattern, type_of(type));
    for (const auto& [name, values] : importance)
        job.importance.push_back({name.c_str(), values.data(), values.size()});
    job.texts = std::move(texts);
    job.numbers = std::move(numbers);
    const native::WithoutGil released;
    native::quantize_model(job);
}

}  // namespace

void bind_quantize(nb::module_& m) {
    m.def("row_types", &row_types);
    m.def("needs_importance", &needs_importance, "type"_a);
    m.def("quantize_rows", &quantize_rows, "type"_a, "source"_a.noconvert(),
          "importance"_a.noconvert().none(), "target"_a.noconvert(), "num_threads"_a,
          "progress"_a.none() = nb::none());
    m.def("dequantize_rows", &dequantize_rows, "type"_a, "source"_a.noconvert(), "target"_a.noconvert(),
          "num_threads"_a, "progress"_a.none() = nb::none());
    m.def("check_blocks", &check_blocks, "type"_a, "source"_a.noconvert());
    m.def("model_file_types", &native::model_file_types);
    m.def("quantize_model", &quantize_model, "source"_a, "target"_a, nb::kw_only(), "file_type"_a,
          "num_threads"_a, "allow_requantize"_a = false, "quantize_output"_a = true, "pure"_a = false,
          "dry_run"_a = false, "output_type"_a.none() = nb::none(), "embedding_type"_a.none() = nb::none(),
          "tensor_types"_a = nb::list(), "importance"_a.noconvert() = nb::list(), "texts"_a = nb::list(),
          "numbers"_a = nb::list());
}
