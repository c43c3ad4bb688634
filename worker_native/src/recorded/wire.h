// The wire format of protobuf, as far as recordings use it: fields one after the other, never past the end.
#pragma once

#include <cstdint>
#include <string_view>

namespace native {

// A field of a message: a number, or bytes (a text, a message, packed numbers).
struct Field {
    uint32_t number;
    bool is_bytes;
    uint64_t value;
    std::string_view bytes;
};

// Reads the fields of one message. Throws std::invalid_argument for what is no such message.
class Wire {
  public:
    explicit Wire(std::string_view bytes) : rest_(bytes) {}
    bool at_end() const { return rest_.empty(); }
    Field field();
    uint64_t varint();

  private:
    std::string_view rest_;
};

}  // namespace native
