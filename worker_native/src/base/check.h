// Error text and range checks. Messages have the form `what: why; what to do`, in one line that a terminal
// may show.
#pragma once

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>

#include "base/printable.h"

namespace native {

// Memory that cannot be had; Python sees MemoryError.
class OutOfMemory : public std::runtime_error {
  public:
    explicit OutOfMemory(const std::string& message, uint64_t num_bytes = 0)
        : std::runtime_error(printable(message)), num_bytes(num_bytes) {}
    const uint64_t num_bytes;  // that were asked for; 0 if nobody knows
};

template <class... Parts>
std::string text(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

// An argument that breaks the contract; Python sees ValueError.
template <class... Parts>
[[noreturn]] void bad_value(const Parts&... parts) {
    throw std::invalid_argument(printable(text(parts...)));
}

// A failure of libllama, ggml or the device; Python sees RuntimeError.
template <class... Parts>
[[noreturn]] void failed(const Parts&... parts) {
    throw std::runtime_error(printable(text(parts...)));
}

// `value` as int32 if it lies in [low, high].
inline int32_t in_range(const char* what, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) bad_value(what, ": ", value, " is outside ", low, "..", high);
    return static_cast<int32_t>(value);
}

}  // namespace native
