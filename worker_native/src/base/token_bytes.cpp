#include "base/token_bytes.h"

#include "base/check.h"

namespace native {

std::string token_bytes(const llama_vocab* vocab, int32_t token, bool render_special) {
    std::string bytes(32, '\0');
    const auto fill = [&] {
        return llama_token_to_piece(vocab, token, bytes.data(), static_cast<int32_t>(bytes.size()), 0, render_special);
    };
    int32_t length = fill();
    if (length < 0) {
        bytes.resize(static_cast<size_t>(-length));
        length = fill();
    }
    if (length < 0) failed("token_bytes: libllama returned ", length);
    bytes.resize(static_cast<size_t>(length));
    return bytes;
}

}  // namespace native
