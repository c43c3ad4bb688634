#include "recorded/native_program.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "graph/program.h"

namespace native {
namespace {

using ggml_program::Bytes;
using ggml_program::DType;
using ggml_program::Spec;

size_t num_elements(const Step& step) {
    return static_cast<size_t>(step.ne[0] * step.ne[1] * step.ne[2] * step.ne[3]);
}

size_t num_bytes(const Step& step) {
    const int64_t row_bytes = static_cast<int64_t>(ggml_row_size(step.type, step.ne[0]));
    return static_cast<size_t>(row_bytes * step.ne[1] * step.ne[2] * step.ne[3]);
}

// Memory is read only: a graph writes into its own results.
std::unique_ptr<Buffer> borrowed(const void* data, size_t num_bytes, std::shared_ptr<const void> owner) {
    return std::make_unique<Buffer>(cpu_compute(), const_cast<void*>(data), num_bytes,
                                    std::const_pointer_cast<void>(std::move(owner)), true);
}

std::unique_ptr<Buffer> widened(const uint8_t* bools, size_t count) {
    auto buffer = std::make_unique<Buffer>(cpu_compute(), count * sizeof(float));
    auto* elements = static_cast<float*>(buffer->memory()->data);
    std::transform(bools, bools + count, elements, [](uint8_t one) { return one != 0 ? 1.0F : 0.0F; });
    return buffer;
}

void check_slot(const char* what, size_t place, const Spec& spec, const Step& step) {
    if (step.type != inner_type(spec.dtype) || num_elements(step) != spec.num_elements())
        bad_value("recordings: ", what, " ", place, " is ", spec.text(), ", and another tensor in the graph");
}

std::unique_ptr<Buffer> tensor_of(const std::string& name, const FoundTensor& found, const Step& step) {
    const auto is_bool = [&] {
        const bool may_be =
            found.type ? *found.type == GGML_TYPE_I8 : found.bytes.num_bytes == num_elements(step);
        return may_be && step.type == GGML_TYPE_F32 && found.bytes.num_bytes == num_elements(step);
    };
    if (!found.bytes.data) bad_value("recordings: there is no tensor '", name, "'");
    if (is_bool()) return widened(static_cast<const uint8_t*>(found.bytes.data), num_elements(step));
    if (found.type.value_or(step.type) != step.type || found.bytes.num_bytes < num_bytes(step))
        bad_value("recordings: the tensor '", name, "' has another type, or fewer bytes than ",
                  num_bytes(step));
    return borrowed(found.bytes.data, found.bytes.num_bytes, found.bytes.owner);
}

std::unique_ptr<Buffer> range_of(const RecordedSource& source, const Bytes& shared, const Step& step) {
    if (source.offset > shared.num_bytes || source.num_bytes > shared.num_bytes - source.offset ||
        source.num_bytes < num_bytes(step))
        bad_value("recordings: a source is no part of ", shared.num_bytes, " bytes that has ",
                  num_bytes(step));
    return borrowed(static_cast<const char*>(shared.data) + source.offset,
                    static_cast<size_t>(source.num_bytes), shared.owner);
}

// The input step whose memory a step's result lies in; -1 if it has memory of its own.
int64_t root_of(const std::vector<Step>& steps, int64_t place) {
    while (steps[static_cast<size_t>(place)].name == "view" ||
           steps[static_cast<size_t>(place)].name == "set_rows") {
        if (steps[static_cast<size_t>(place)].sources.empty()) return -1;
        place = steps[static_cast<size_t>(place)].sources.front();
    }
    return steps[static_cast<size_t>(place)].name == "input" ? place : -1;
}

// The inputs of a recording that it may write to: states whose outputs say so.
bool is_written(const Recording& recording, const RecordedSource& source) {
    if (source.kind != RecordedSource::Kind::input) return false;
    const RecordedSlot& slot = recording.inputs[source.input];
    return slot.is_state &&
           std::any_of(recording.outputs.begin(), recording.outputs.end(), [&](const auto& one) {
               return one.is_state && one.in_place && one.spec.name == slot.spec.name;
           });
}

// What Python never writes, and a graph takes for granted: rows, and the matrices of a choice, are named by
// checked places that they have, and only states are written to.
void check_steps(const Recording& recording, const std::vector<Step>& steps) {
    std::map<int64_t, size_t> inputs;  // by step
    for (size_t i = 0; i < steps.size(); ++i) {
        const Step& step = steps[i];
        if (step.name == "input") inputs.emplace(static_cast<int64_t>(i), inputs.size());
        const bool writes = step.name == "set_rows", chooses = step.name == "mul_mat_id";
        const size_t place = writes || chooses ? 2 : 1;
        if ((!writes && !chooses && step.name != "get_rows") || step.sources.size() <= place) continue;
        const Step& index = steps[static_cast<size_t>(step.sources[place])];
        const Step& named = steps[static_cast<size_t>(step.sources.front())];
        const int64_t limit = chooses ? named.ne[2] : named.ne[1];
        if (index.name != "index" || index.params.empty() || index.params.front() > limit)
            bad_value("recordings: step ", i, " names rows by places that were not checked");
        const int64_t root = writes ? root_of(steps, step.sources.front()) : -1;
        if (writes && (root < 0 || !is_written(recording, recording.sources[inputs.at(root)])))
            bad_value("recordings: step ", i, " writes into what is no state");
    }
}

}  // namespace

ggml_type inner_type(DType dtype) {
    switch (dtype) {
        case DType::float16:
            return GGML_TYPE_F16;
        case DType::bfloat16:
            return GGML_TYPE_BF16;
        case DType::int32:
            return GGML_TYPE_I32;
        case DType::int64:
            return GGML_TYPE_I64;
        default:
            return GGML_TYPE_F32;
    }
}

std::unique_ptr<Buffer> as_buffer(const Spec& spec, const void* data, std::shared_ptr<const void> owner) {
    if (spec.dtype == DType::boolean) return widened(static_cast<const uint8_t*>(data), spec.num_elements());
    return borrowed(data, spec.num_bytes(), std::move(owner));
}

ggml_program::Array as_array(Spec spec, const Buffer& buffer) {
    const MemoryPtr memory = buffer.memory();
    if (spec.dtype != DType::boolean)
        return {std::move(spec), std::shared_ptr<const void>(memory, memory->data)};
    const auto* elements = static_cast<const float*>(memory->data);
    auto bools = std::make_shared<std::vector<uint8_t>>(spec.num_elements());
    std::transform(elements, elements + bools->size(), bools->begin(), [](float one) { return one != 0; });
    const void* data = bools->data();
    return {std::move(spec), std::shared_ptr<const void>(std::move(bools), data)};
}

NativeProgram::NativeProgram(const Recording& recording, const Bytes& shared, const FindTensor& find) {
    const std::vector<Step> steps = decode_program(recording.names, recording.words);
    std::vector<const Step*> inputs;
    for (const Step& step : steps)
        if (step.name == "input") inputs.push_back(&step);
    if (inputs.size() != recording.sources.size())
        bad_value("recordings: ", recording.sources.size(), " sources are given for ", inputs.size(),
                  " inputs");
    for (size_t i = 0; i < inputs.size(); ++i) {
        const RecordedSource& source = recording.sources[i];
        if (source.kind == RecordedSource::Kind::input) {
            if (source.input >= recording.inputs.size())
                bad_value("recordings: source ", i, " is input ", source.input, " of ",
                          recording.inputs.size());
            check_slot("input", source.input, recording.inputs[source.input].spec, *inputs[i]);
            places_.push_back(source.input);
            continue;
        }
        places_.push_back(recording.inputs.size() + fixed_.size());
        fixed_.push_back(source.kind == RecordedSource::Kind::tensor
                             ? tensor_of(source.tensor, find(source.tensor), *inputs[i])
                             : range_of(source, shared, *inputs[i]));
    }
    std::vector<int64_t> outputs;
    for (size_t i = 0; i < recording.outputs.size(); ++i) {
        const RecordedSlot& output = recording.outputs[i];
        in_range("recordings: the step of an output", output.step, 0, static_cast<int64_t>(steps.size()) - 1);
        if (output.spec.num_elements() > 0 && !output.in_place)
            check_slot("output", i, output.spec, steps[static_cast<size_t>(output.step)]);
        outputs.push_back(output.step);
    }
    check_steps(recording, steps);
    graph_ = std::make_unique<Graph>(cpu_compute(), steps, outputs);
}

std::vector<std::unique_ptr<Buffer>> NativeProgram::run(const std::vector<const Buffer*>& inputs) {
    std::vector<const Buffer*> buffers;
    for (size_t place : places_) {
        buffers.push_back(place < inputs.size() ? inputs[place] : fixed_[place - inputs.size()].get());
        if (!buffers.back()) bad_value("graph: input ", place, " has no elements");
    }
    return graph_->run(buffers);
}

}  // namespace native
