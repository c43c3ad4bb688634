#include "recorded/recording.h"

#include "base/check.h"
#include "recorded/wire.h"

namespace native {
namespace {

using ggml_program::DType;

constexpr uint64_t version = 1;
constexpr uint64_t role_user = 1, role_state = 3;
constexpr size_t max_rank = 8;
// Hundreds of times what a program needs.
constexpr size_t max_recordings = 1 << 16, max_items = 1 << 22;
constexpr uint64_t max_elements = uint64_t(1) << 46;

DType dtype_of(std::string_view name) {
    for (DType dtype :
         {DType::float32, DType::float16, DType::bfloat16, DType::int32, DType::int64, DType::boolean})
        if (name == ggml_program::name_of(dtype)) return dtype;
    bad_value("recordings: a tensor has the unknown dtype '", name.substr(0, 40), "'");
}

std::string_view bytes_of(const Field& field) {
    if (!field.is_bytes) bad_value("recordings: field ", field.number, " is a number");
    return field.bytes;
}

uint64_t number_of(const Field& field) {
    if (field.is_bytes) bad_value("recordings: field ", field.number, " is no number");
    return field.value;
}

// Numbers come packed, all in one field, or one by one.
template <class Read>
void numbers(const Field& field, const Read& read) {
    if (!field.is_bytes) return read(field.value);
    for (Wire wire(field.bytes); !wire.at_end();) read(wire.varint());
}

template <class T>
T& added(std::vector<T>& items, size_t limit) {
    if (items.size() >= limit) bad_value("recordings: a list has more than ", limit, " items");
    return items.emplace_back();
}

void check_shape(const std::vector<int64_t>& shape) {
    uint64_t num_elements = 1;
    for (int64_t extent : shape) {
        if (extent < 0 || static_cast<uint64_t>(extent) > max_elements / num_elements)
            bad_value("recordings: a tensor has the extent ", extent);
        if (extent > 0) num_elements *= static_cast<uint64_t>(extent);
    }
}

RecordedSlot slot(std::string_view bytes) {
    RecordedSlot found;
    std::string_view dtype;
    uint64_t role = 0;
    for (Wire wire(bytes); !wire.at_end();) {
        const Field field = wire.field();
        if (field.number == 1) found.spec.name = bytes_of(field);
        if (field.number == 2) role = number_of(field);
        if (field.number == 3) dtype = bytes_of(field);
        if (field.number == 4)
            numbers(field, [&](uint64_t extent) {
                added(found.spec.shape, max_rank) = static_cast<int64_t>(extent);
            });
        if (field.number == 5) found.step = static_cast<int64_t>(number_of(field));
        if (field.number == 6) found.tensor = bytes_of(field);
        if (field.number == 7) found.in_place = number_of(field) != 0;
    }
    if (role != role_user && role != role_state) bad_value("recordings: a tensor has the role ", role);
    found.is_state = role == role_state;
    found.spec.dtype = dtype_of(dtype);
    check_shape(found.spec.shape);
    return found;
}

RecordedSource source(std::string_view bytes) {
    using Kind = RecordedSource::Kind;
    RecordedSource found;
    for (Wire wire(bytes); !wire.at_end();) {
        const Field field = wire.field();
        if (field.number == 1) found.kind = Kind::input, found.input = static_cast<size_t>(number_of(field));
        if (field.number == 2) found.kind = Kind::tensor, found.tensor = bytes_of(field);
        if (field.number != 3) continue;
        found.kind = Kind::range;
        for (Wire range(bytes_of(field)); !range.at_end();) {
            const Field part = range.field();
            if (part.number == 1) found.offset = number_of(part);
            if (part.number == 2) found.num_bytes = number_of(part);
        }
    }
    if (found.kind == Kind::none) bad_value("recordings: a source is empty");
    return found;
}

Recording recording(std::string_view bytes) {
    Recording found;
    for (Wire wire(bytes); !wire.at_end();) {
        const Field field = wire.field();
        if (field.number == 1) added(found.inputs, max_items) = slot(bytes_of(field));
        if (field.number == 2) added(found.outputs, max_items) = slot(bytes_of(field));
        if (field.number == 3) added(found.names, max_items) = bytes_of(field);
        if (field.number == 4)
            numbers(field, [&](uint64_t word) {
                found.words.push_back(static_cast<int64_t>(word >> 1) ^ -static_cast<int64_t>(word & 1));
            });
        if (field.number == 5) added(found.sources, max_items) = source(bytes_of(field));
    }
    return found;
}

}  // namespace

Recordings decode_recordings(std::string_view bytes) {
    Recordings found;
    uint64_t written_in = 0;
    for (Wire wire(bytes); !wire.at_end();) {
        const Field field = wire.field();
        if (field.number == 1) written_in = number_of(field);
        if (field.number == 2) added(found.list, max_recordings) = recording(bytes_of(field));
        if (field.number == 3) found.memory = bytes_of(field);
    }
    if (written_in != version)
        bad_value("recordings: version ", written_in, " is given; this library reads ", version);
    if (found.list.empty()) bad_value("recordings: there are none; program.record(...) in Python makes them");
    return found;
}

}  // namespace native
