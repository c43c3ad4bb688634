// The names of tokens that a text may hold as such, and where they stand in one.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/libllama.h"

namespace native {

// Text without such a name, or one of these tokens.
struct Fragment {
    std::string_view text;
    llama_token token = LLAMA_TOKEN_NULL;

    bool is_text() const { return token == LLAMA_TOKEN_NULL; }
};

// Control, unknown and user-defined tokens of a vocabulary, which must outlive it.
class SpecialNames {
  public:
    SpecialNames() = default;
    explicit SpecialNames(const llama_vocab* vocab);

    // The fragments of a text, as libllama finds them before it tokenises each. Without `parse_special` only
    // user-defined tokens are found, as there.
    std::vector<Fragment> split(std::string_view text, bool parse_special) const;

  private:
    struct Name {
        std::string_view text;
        llama_token token;
        bool is_user_defined, strips_left, strips_right;
    };

    std::vector<Name> names_;  // the longest first
};

}  // namespace native
