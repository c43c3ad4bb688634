#include "recorded/ggml_program.h"

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <thread>

#include "base/abort_guard.h"
#include "base/check.h"
#include "base/log.h"
#include "graph/graph.h"
#include "recorded/container.h"
#include "recorded/native_program.h"
#include "recorded/recording.h"

namespace ggml_program {
namespace {

constexpr int max_threads = 512;  // GGML_MAX_N_THREADS

// Where Python keeps them: ggml.programs.recordings.recorded.
constexpr const char* recordings_key = "ggml.recordings";

// Those that this process may use, where the system can tell.
int num_cores() {
#if defined(__linux__)
    cpu_set_t cores;
    CPU_ZERO(&cores);
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1, CPU_COUNT(&cores));
#endif
    return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

void get_ready() {
    static std::once_flag done;
    std::call_once(done, [] {
        native::install_log();
        llama_backend_init();
        native::install_abort_guard();
        native::cpu_compute().set_threads(std::min(num_cores(), max_threads));
    });
}

// Runs `work`, and turns what it throws into errors of ours. What the native library calls a bad value is of
// the kind `bad_value`.
template <class Work>
auto told(Error::Kind bad_value, const Work& work) {
    try {
        return work();
    } catch (const Error&) {
        throw;
    } catch (const native::OutOfMemory& error) {
        throw Error(Error::Kind::memory, error.what());
    } catch (const std::bad_alloc&) {
        throw Error(Error::Kind::memory, "memory: none is left");
    } catch (const native::DataError& error) {
        throw Error(Error::Kind::data, error.what());
    } catch (const std::invalid_argument& error) {
        throw Error(bad_value, error.what());
    } catch (const std::length_error&) {
        throw Error(Error::Kind::memory, "memory: a list is too long");
    } catch (const std::exception& error) {
        throw Error(Error::Kind::runtime, error.what());
    }
}

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
    throw Error(Error::Kind::arguments, native::printable(native::text(parts...)));
}

// Bytes of a tensor that somebody else describes.
native::FoundTensor in_container(const native::Container& container, const std::string& name) {
    const native::StoredTensor* stored = container.find(name);
    if (!stored) return {};
    return {{stored->data, stored->num_bytes, container.owner()}, stored->type};
}

}  // namespace

const char* name_of(DType dtype) {
    switch (dtype) {
        case DType::float32:
            return "float32";
        case DType::float16:
            return "float16";
        case DType::bfloat16:
            return "bfloat16";
        case DType::int32:
            return "int32";
        case DType::int64:
            return "int64";
        case DType::boolean:
            return "bool";
    }
    return "none";
}

size_t item_bytes(DType dtype) {
    switch (dtype) {
        case DType::float16:
        case DType::bfloat16:
            return 2;
        case DType::int64:
            return 8;
        case DType::boolean:
            return 1;
        default:
            return 4;
    }
}

size_t Spec::num_elements() const {
    size_t count = 1;
    for (int64_t extent : shape) count *= static_cast<size_t>(extent);
    return count;
}

std::string Spec::text() const {
    std::string extents;
    for (int64_t extent : shape) extents += (extents.empty() ? "" : ", ") + std::to_string(extent);
    return native::printable(name) + " " + name_of(dtype) + " (" + extents + (shape.size() == 1 ? ",)" : ")");
}

void set_num_threads(int num_threads) {
    if (num_threads < 1 || num_threads > max_threads)
        refuse("num_threads: ", num_threads, " is outside 1..", max_threads);
    told(Error::Kind::runtime, [&] {
        get_ready();
        native::cpu_compute().set_threads(num_threads);
    });
}

class Program::Impl {
  public:
    Impl(std::string_view bytes, const native::FindTensor& find)
        : Impl(native::decode_recordings(bytes), find) {}

    Impl(native::Recordings decoded, const native::FindTensor& find)
        : recordings_(std::move(decoded.list)), built_(recordings_.size()) {
        find_tensors(find);
        if (const native::FoundTensor memory = find(decoded.memory); memory.bytes.data)
            shared_ = memory.bytes;
        for (const native::Recording& one : recordings_) add_signature(one);
        reset();
    }

    std::vector<Array> run(const std::vector<Input>& inputs) {
        const size_t place = place_of(inputs);
        const native::Recording& recording = recordings_[place];
        const std::lock_guard lock(busy_);
        native::NativeProgram& program = built(place);
        std::vector<std::unique_ptr<native::Buffer>> given;
        std::vector<const native::Buffer*> buffers;
        for (const native::RecordedSlot& slot : recording.inputs) {
            if (slot.is_state) {
                buffers.push_back(state_.at(slot.spec.name).get());
            } else if (slot.spec.num_elements() == 0) {
                buffers.push_back(nullptr);
            } else {
                given.push_back(
                    native::as_buffer(slot.spec, input_of(inputs, slot.spec.name)->data, nullptr));
                buffers.push_back(given.back().get());
            }
        }
        return results(recording, program.run(buffers));
    }

    void prepare(size_t place) {
        if (place >= recordings_.size())
            refuse("signature: there are ", recordings_.size(), ", and no ", place);
        const std::lock_guard lock(busy_);
        built(place);
    }

    Array state(const std::string& name) const {
        const std::lock_guard lock(busy_);
        const Spec& spec = state_spec(name);
        if (spec.num_elements() == 0) return {spec, nullptr};
        const native::Buffer& buffer = *state_.at(name);
        native::Buffer copy(native::cpu_compute(), buffer.num_bytes());
        copy.copy_from(buffer);
        return native::as_array(spec, copy);
    }

    void set_state(const Input& value) {
        const std::lock_guard lock(busy_);
        const Spec& spec = state_spec(value.name);
        if (value.dtype != spec.dtype || value.shape != spec.shape)
            refuse("state: ", Spec{value.name, value.dtype, value.shape}.text(), " is given for ",
                   spec.text());
        if (!value.data && spec.num_elements() > 0) refuse("state: '", value.name, "' has no memory");
        if (spec.num_elements() > 0) state_[value.name] = kept(spec, value.data);
    }

    void reset() {
        const std::lock_guard lock(busy_);
        std::map<std::string, std::unique_ptr<native::Buffer>> first;
        for (const Spec& spec : states_)
            first[spec.name] = spec.num_elements() > 0 ? kept(spec, first_value(spec)) : nullptr;
        state_.swap(first);
    }

    std::vector<Signature> signatures_;
    std::vector<Spec> states_;

  private:
    native::NativeProgram& built(size_t place) {
        const auto find = [this](const std::string& name) { return found_.at(name); };
        const auto build = [&] {
            return std::make_unique<native::NativeProgram>(recordings_[place], shared_, find);
        };
        if (!built_[place]) built_[place] = told(Error::Kind::file, build);
        return *built_[place];
    }

    // Every tensor that a recording names. Whoever keeps them need not stay.
    void find_tensors(const native::FindTensor& find) {
        const auto keep = [&](const std::string& name) {
            if (found_.find(name) == found_.end()) found_.emplace(name, find(name));
        };
        for (const native::Recording& one : recordings_) {
            for (const native::RecordedSource& source : one.sources)
                if (source.kind == native::RecordedSource::Kind::tensor) keep(source.tensor);
            for (const native::RecordedSlot& slot : one.inputs)
                if (slot.is_state) keep(slot.tensor);
        }
    }

    void add_signature(const native::Recording& one) {
        Signature signature;
        for (const native::RecordedSlot& slot : one.inputs) {
            if (slot.is_state)
                add_state(slot);
            else if (std::count_if(signature.inputs.begin(), signature.inputs.end(),
                                   [&](const Spec& known) { return known.name == slot.spec.name; }) > 0)
                native::bad_value("recordings: the input '", slot.spec.name, "' is there twice");
            else
                signature.inputs.push_back(slot.spec);
        }
        for (const native::RecordedSlot& slot : one.outputs)
            if (!slot.is_state) signature.outputs.push_back(slot.spec);
        signatures_.push_back(std::move(signature));
        check_states(one);
    }

    void add_state(const native::RecordedSlot& slot) {
        const auto [at, is_new] = first_.emplace(slot.spec.name, slot.tensor);
        if (is_new) states_.push_back(slot.spec);
        const Spec& known = state_spec(slot.spec.name);
        if (at->second != slot.tensor || known.dtype != slot.spec.dtype || known.shape != slot.spec.shape)
            native::bad_value("recordings: the state '", slot.spec.name, "' differs between recordings");
    }

    // Each recording has all states, once in and once out.
    void check_states(const native::Recording& one) const {
        std::map<std::string, int> in, out;
        for (const native::RecordedSlot& slot : one.inputs)
            if (slot.is_state) ++in[slot.spec.name];
        for (const native::RecordedSlot& slot : one.outputs) {
            if (!slot.is_state) continue;
            ++out[slot.spec.name];
            const auto known = std::find_if(states_.begin(), states_.end(),
                                            [&](const Spec& spec) { return spec.name == slot.spec.name; });
            if (known == states_.end() || known->dtype != slot.spec.dtype || known->shape != slot.spec.shape)
                native::bad_value("recordings: there is no state for ", slot.spec.text());
        }
        const auto is_once = [](const auto& pair) { return pair.second == 1; };
        if (in.size() != states_.size() || in != out || !std::all_of(in.begin(), in.end(), is_once))
            native::bad_value("recordings: a state is left out, or there twice");
    }

    const Spec& state_spec(const std::string& name) const {
        const auto at =
            std::find_if(states_.begin(), states_.end(), [&](const Spec& spec) { return spec.name == name; });
        if (at == states_.end()) refuse("state: there is no '", name, "'");
        return *at;
    }

    const void* first_value(const Spec& spec) const {
        const std::string& name = first_.at(spec.name);
        const native::FoundTensor& found = found_.at(name);
        const bool is_bool = spec.dtype == DType::boolean;
        if (!found.bytes.data || found.bytes.num_bytes < spec.num_bytes() ||
            (found.type && *found.type != (is_bool ? GGML_TYPE_I8 : native::inner_type(spec.dtype))))
            native::bad_value("recordings: the tensor '", name, "' is no value of ", spec.text());
        return found.bytes.data;
    }

    // A copy, which belongs to the program.
    static std::unique_ptr<native::Buffer> kept(const Spec& spec, const void* data) {
        std::unique_ptr<native::Buffer> given = native::as_buffer(spec, data, nullptr);
        if (!given->is_read_only()) return given;
        auto copy = std::make_unique<native::Buffer>(native::cpu_compute(), given->num_bytes());
        copy->copy_from(*given);
        return copy;
    }

    static const Input* input_of(const std::vector<Input>& inputs, const std::string& name) {
        const auto at =
            std::find_if(inputs.begin(), inputs.end(), [&](const Input& one) { return one.name == name; });
        return at == inputs.end() ? nullptr : &*at;
    }

    // The recording for these inputs; otherwise an Error that tells what there is.
    size_t place_of(const std::vector<Input>& inputs) const {
        const std::vector<Spec>& names = signatures_.front().inputs;
        for (const Input& one : inputs) {
            if (std::none_of(names.begin(), names.end(),
                             [&](const Spec& spec) { return spec.name == one.name; }))
                refuse("inputs: there is no '", one.name, "'; this program takes ", text(names));
            if (!one.data && Spec{one.name, one.dtype, one.shape}.num_elements() > 0)
                refuse("inputs: '", one.name, "' has no memory");
        }
        for (const Spec& spec : names)
            if (!input_of(inputs, spec.name)) refuse("inputs: ", spec.text(), " is missing");
        if (inputs.size() != names.size()) refuse("inputs: one is given twice");
        for (size_t i = 0; i < signatures_.size(); ++i) {
            const std::vector<Spec>& wanted = signatures_[i].inputs;
            const auto fits = [&](const Spec& spec) {
                const Input* given = input_of(inputs, spec.name);
                return given && given->dtype == spec.dtype && given->shape == spec.shape;
            };
            if (wanted.size() == inputs.size() && std::all_of(wanted.begin(), wanted.end(), fits)) return i;
        }
        std::vector<Spec> given;
        for (const Input& one : inputs) given.push_back({one.name, one.dtype, one.shape});
        std::string known;
        for (const Signature& one : signatures_) known += (known.empty() ? "" : " | ") + text(one.inputs);
        refuse("inputs: ", text(given), " was not recorded; recorded are ", known);
    }

    static std::string text(const std::vector<Spec>& specs) {
        std::string all;
        for (const Spec& spec : specs) all += (all.empty() ? "" : ", ") + spec.text();
        return all.empty() ? "nothing" : all;
    }

    std::vector<Array> results(const native::Recording& recording,
                               std::vector<std::unique_ptr<native::Buffer>> buffers) {
        std::vector<Array> arrays;
        for (size_t i = 0; i < buffers.size(); ++i) {
            const native::RecordedSlot& slot = recording.outputs[i];
            if (slot.is_state) continue;
            const bool is_empty = slot.spec.num_elements() == 0;
            arrays.push_back(is_empty ? Array{slot.spec, nullptr} : native::as_array(slot.spec, *buffers[i]));
        }
        for (size_t i = 0; i < buffers.size(); ++i)  // once nothing can fail any more
            if (recording.outputs[i].is_state && !recording.outputs[i].in_place)
                state_.at(recording.outputs[i].spec.name) = std::move(buffers[i]);
        return arrays;
    }

    std::vector<native::Recording> recordings_;
    std::map<std::string, native::FoundTensor> found_;
    Bytes shared_;
    std::vector<std::unique_ptr<native::NativeProgram>> built_;
    std::map<std::string, std::string> first_;  // for each state the tensor that it begins with
    std::map<std::string, std::unique_ptr<native::Buffer>> state_;
    mutable std::mutex busy_;
};

Program::Program(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() = default;

Program Program::load(const std::string& path) {
    return told(Error::Kind::file, [&] {
        get_ready();
        const auto container = std::make_shared<const native::Container>(path);
        const std::string_view bytes = container->bytes(recordings_key);
        if (bytes.empty())
            native::bad_value("'", path, "' holds no recordings; program.record(...) in Python makes them");
        const auto find = [container](const std::string& name) { return in_container(*container, name); };
        return Program(std::make_unique<Impl>(bytes, find));
    });
}

Program Program::of_bytes(std::string_view recordings, const Find& find) {
    return told(Error::Kind::file, [&] {
        get_ready();
        const auto found = [find](const std::string& name) {
            return native::FoundTensor{find(name), std::nullopt};
        };
        return Program(std::make_unique<Impl>(recordings, found));
    });
}

const std::vector<Signature>& Program::signatures() const { return impl_->signatures_; }

void Program::prepare(size_t signature) {
    told(Error::Kind::runtime, [&] { impl_->prepare(signature); });
}

const std::vector<Spec>& Program::states() const { return impl_->states_; }

std::vector<Array> Program::run(const std::vector<Input>& inputs) {
    return told(Error::Kind::runtime, [&] { return impl_->run(inputs); });
}

Array Program::state(const std::string& name) const {
    return told(Error::Kind::runtime, [&] { return impl_->state(name); });
}

void Program::set_state(const Input& value) {
    told(Error::Kind::runtime, [&] { impl_->set_state(value); });
}

void Program::reset() {
    told(Error::Kind::file, [&] { impl_->reset(); });
}

}  // namespace ggml_program
