#include "recorded/wire.h"

#include "base/check.h"

namespace native {
namespace {

constexpr uint64_t kind_varint = 0, kind_bytes = 2;

}  // namespace

uint64_t Wire::varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (rest_.empty()) break;
        const auto byte = static_cast<uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        if (shift == 63 && byte > 1) break;
        value |= static_cast<uint64_t>(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    bad_value("recordings: a number does not end");
}

Field Wire::field() {
    const uint64_t tag = varint(), kind = tag & 7, number = tag >> 3;
    if (number == 0 || number > 1 << 28) bad_value("recordings: a field has the number ", number);
    Field found{static_cast<uint32_t>(number), kind == kind_bytes, varint(), {}};
    if (kind == kind_varint) return found;
    if (kind != kind_bytes) bad_value("recordings: field ", number, " is of the kind ", kind);
    if (found.value > rest_.size())
        bad_value("recordings: field ", number, " has ", found.value, " bytes of ", rest_.size());
    found.bytes = rest_.substr(0, static_cast<size_t>(found.value));
    rest_.remove_prefix(found.bytes.size());
    return found;
}

}  // namespace native
