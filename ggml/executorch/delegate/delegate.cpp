// ggml as a backend of ExecuTorch: runs the recordings that GgmlBackend.preprocess wrote.
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/platform/log.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ggml_program.h"

namespace {

namespace et = executorch::runtime;
using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using ggml_program::Bytes;
using ggml_program::DType;
using ggml_program::Program;

std::optional<DType> dtype_of(ScalarType type) {
    switch (type) {
        case ScalarType::Float:
            return DType::float32;
        case ScalarType::Half:
            return DType::float16;
        case ScalarType::BFloat16:
            return DType::bfloat16;
        case ScalarType::Int:
            return DType::int32;
        case ScalarType::Long:
            return DType::int64;
        case ScalarType::Bool:
            return DType::boolean;
        default:
            return std::nullopt;
    }
}

et::Error code_of(ggml_program::Error::Kind kind) {
    switch (kind) {
        case ggml_program::Error::Kind::file:
            return et::Error::DelegateInvalidCompatibility;
        case ggml_program::Error::Kind::arguments:
        case ggml_program::Error::Kind::data:
            return et::Error::InvalidArgument;
        case ggml_program::Error::Kind::memory:
            return et::Error::MemoryAllocationFailed;
        default:
            return et::Error::Internal;
    }
}

et::Error told(et::Error code, const char* why) {
    ET_LOG(Error, "GgmlBackend: %s", why);
    return code;
}

et::Error refused(const char* why) { return told(et::Error::InvalidArgument, why); }

// What `work` gives, or the code of what it throws: no exception may enter the runtime, which has none.
template <class Work>
auto guarded(const Work& work) noexcept -> decltype(work()) {
    try {
        return work();
    } catch (const ggml_program::Error& error) {
        return told(code_of(error.kind), error.what());
    } catch (const std::bad_alloc&) {
        return told(et::Error::MemoryAllocationFailed, "no memory is left");
    } catch (const std::exception& error) {
        return told(et::Error::Internal, error.what());
    }
}

// The data of a key, which live as long as their owner.
Bytes named(const et::NamedDataMap* data, const std::string& name) {
    if (!data || name.empty()) return {};
    et::Result<et::FreeableBuffer> found = data->get_data(name);
    if (!found.ok()) return {};
    const auto owner = std::make_shared<et::FreeableBuffer>(std::move(found.get()));
    return {owner->data(), owner->size(), owner};
}

bool is_row_major(const Tensor& tensor) {
    for (size_t axis = 0; axis < tensor.dim_order().size(); ++axis)
        if (tensor.dim_order()[axis] != axis) return false;
    return true;
}

// Arguments do not tell which of them are outputs: how many there are must not depend on the shapes.
bool has_one_form(const Program& program) {
    const auto& all = program.signatures();
    return std::all_of(all.begin(), all.end(), [&](const ggml_program::Signature& one) {
        return one.outputs.size() == all.front().outputs.size();
    });
}

class GgmlBackend final : public et::BackendInterface {
  public:
    bool is_available() const override { return true; }

    et::Result<et::DelegateHandle*> init(et::BackendInitContext& context, et::FreeableBuffer* processed,
                                         et::ArrayRef<et::CompileSpec>) const override {
        return guarded([&]() -> et::Result<et::DelegateHandle*> {
            const et::NamedDataMap* data = context.get_named_data_map();
            const std::string_view bytes(static_cast<const char*>(processed->data()), processed->size());
            auto program = std::make_unique<Program>(
                Program::of_bytes(bytes, [data](const std::string& name) { return named(data, name); }));
            program->prepare(0);  // what is not sound is found here, and a program of one shape is ready
            if (!has_one_form(*program))
                return told(et::Error::DelegateInvalidCompatibility,
                            "the recordings of a part differ in their number of outputs");
            processed->Free();
            return program.release();
        });
    }

    et::Error execute(et::BackendExecutionContext&, et::DelegateHandle* handle,
                      et::Span<et::EValue*> args) const override {
        return guarded([&] { return run(*static_cast<Program*>(handle), args); });
    }

    void destroy(et::DelegateHandle* handle) const override { delete static_cast<Program*>(handle); }

  private:
    static et::Error run(Program& program, et::Span<et::EValue*> args) {
        const ggml_program::Signature& signature = program.signatures().front();
        if (args.size() < signature.outputs.size()) return refused("there are too few arguments");
        const size_t num_inputs = args.size() - signature.outputs.size();
        std::vector<ggml_program::Input> inputs;
        for (size_t i = 0; i < num_inputs; ++i) {
            if (!args[i]->isTensor()) continue;  // an extent, which the shapes bring, too
            const Tensor& tensor = args[i]->toTensor();
            const std::optional<DType> dtype = dtype_of(tensor.scalar_type());
            if (inputs.size() == signature.inputs.size() || !dtype || !is_row_major(tensor))
                return refused("an input is none that this part takes");
            inputs.push_back({signature.inputs[inputs.size()].name,
                              *dtype,
                              {tensor.sizes().begin(), tensor.sizes().end()},
                              tensor.const_data_ptr()});
        }
        return give(program.run(inputs), args, num_inputs);
    }

    static et::Error give(const std::vector<ggml_program::Array>& results, et::Span<et::EValue*> args,
                          size_t num_inputs) {
        if (results.size() != args.size() - num_inputs) return refused("there are other outputs");
        for (size_t i = 0; i < results.size(); ++i) {
            const ggml_program::Spec& spec = results[i].spec;
            if (!args[num_inputs + i]->isTensor()) return refused("an output is no tensor");
            Tensor& tensor = args[num_inputs + i]->toTensor();
            const std::vector<executorch::aten::SizesType> sizes(spec.shape.begin(), spec.shape.end());
            if (dtype_of(tensor.scalar_type()) != spec.dtype || !is_row_major(tensor) ||
                static_cast<size_t>(tensor.dim()) != sizes.size())
                return refused("an output is of another dtype or form");
            if (const et::Error error = et::resize_tensor(tensor, {sizes.data(), sizes.size()});
                error != et::Error::Ok)
                return error;
            if (spec.num_bytes() == 0) continue;
            if (!tensor.mutable_data_ptr() || tensor.nbytes() != spec.num_bytes())
                return refused("an output has no memory");
            std::memcpy(tensor.mutable_data_ptr(), results[i].memory.get(), spec.num_bytes());
        }
        return et::Error::Ok;
    }
};

GgmlBackend backend;
[[maybe_unused]] const et::Error is_registered = et::register_backend({"GgmlBackend", &backend});

}  // namespace
