#include "base/printable.h"

#include <array>
#include <cstdint>
#include <cstdio>

namespace native {
namespace {

struct Character {
    uint32_t code;
    size_t num_bytes;  // 0: these bytes are no UTF-8
};

Character character_at(std::string_view text) {
    const auto byte = [&text](size_t at) { return at < text.size() ? uint32_t(uint8_t(text[at])) : 0U; };
    const auto goes_on = [&byte](size_t at) { return (byte(at) & 0xC0U) == 0x80; };
    const uint32_t lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    if (lead >= 0xC2 && lead < 0xE0 && goes_on(1)) return {(lead & 0x1FU) << 6 | (byte(1) & 0x3FU), 2};
    if (lead >= 0xE0 && lead < 0xF0 && goes_on(1) && goes_on(2)) {
        const uint32_t code = (lead & 0x0FU) << 12 | (byte(1) & 0x3FU) << 6 | (byte(2) & 0x3FU);
        if (code >= 0x800 && (code < 0xD800 || code > 0xDFFF)) return {code, 3};
    }
    if (lead >= 0xF0 && lead < 0xF5 && goes_on(1) && goes_on(2) && goes_on(3)) {
        const uint32_t code =
            (lead & 0x07U) << 18 | (byte(1) & 0x3FU) << 12 | (byte(2) & 0x3FU) << 6 | (byte(3) & 0x3FU);
        if (code >= 0x10000 && code <= 0x10FFFF) return {code, 4};
    }
    return {0, 0};
}

bool is_shown(uint32_t code) {
    const bool is_control = code < 0x20 || (code >= 0x7F && code < 0xA0);
    const bool is_format = (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
                           (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF;
    return !is_control && !is_format;
}

}  // namespace

std::string printable(std::string_view text) {
    std::string shown;
    shown.reserve(text.size());
    while (!text.empty()) {
        const Character found = character_at(text);
        const size_t num_bytes = found.num_bytes ? found.num_bytes : 1;
        if (found.num_bytes && is_shown(found.code)) {
            shown += text.substr(0, num_bytes);
        } else {
            std::array<char, 16> escaped{};
            const uint32_t code = found.num_bytes ? found.code : uint8_t(text[0]);
            std::snprintf(escaped.data(), escaped.size(), code < 0x100 ? "\\x%02x" : "\\u%04x",
                          unsigned(code));
            shown += escaped.data();
        }
        text.remove_prefix(num_bytes);
    }
    return shown;
}

}  // namespace native
