// Recorded shapes of a program as a file has them: the messages of protos/program.proto, checked by
// themselves.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "recorded/ggml_program.h"

namespace native {

struct RecordedSlot {
    ggml_program::Spec spec;
    bool is_state = false;
    int64_t step = 0;       // of an output
    bool in_place = false;  // of a state among the outputs: its memory has the new value
    std::string tensor;     // of a state among the inputs: its first value
};

struct RecordedSource {
    enum class Kind { none, input, tensor, range } kind = Kind::none;
    size_t input = 0;
    std::string tensor;
    uint64_t offset = 0, num_bytes = 0;  // of a range
};

struct Recording {
    std::vector<RecordedSlot> inputs, outputs;
    std::vector<std::string> names;
    std::vector<int64_t> words;
    std::vector<RecordedSource> sources;
};

struct Recordings {
    std::vector<Recording> list;
    std::string memory;  // the tensor that ranges are of
};

// Throws std::invalid_argument, which names the field, for bytes that are no recordings. What slots, steps
// and sources say together is checked where a graph is built of them.
Recordings decode_recordings(std::string_view bytes);

}  // namespace native
