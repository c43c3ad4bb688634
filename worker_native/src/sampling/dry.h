// DRY ("don't repeat yourself"): a penalty on tokens that would continue a repetition.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sampling/params.h"

namespace native {

// The bytes that each token adds to a text.
using Pieces = std::vector<std::string>;

// Texts over which no repetition goes.
class Breakers {
  public:
    // Looks at all tokens; `pieces` are kept. Throws if there are none, but texts.
    Breakers(std::shared_ptr<const Pieces> pieces, std::vector<std::string> texts);

    const std::vector<std::string>& texts() const { return texts_; }
    // Some text is in that token.
    bool are_in(int32_t token) const { return !kinds_.empty() && kinds_[token] == Kind::holds; }
    // How many of the last tokens are behind the last text; all, if none is there.
    int32_t num_behind(std::span<const int32_t> tokens) const;

  private:
    enum class Kind : uint8_t {
        plain,
        holds,
        may_begin
    };  // of a token: has a text; ends with a text's beginning

    Kind kind_of(const std::string& piece) const;
    // How many tokens of `behind` belong to a text that begins in `piece`; -1 if none does.
    int32_t num_continued(const std::string& piece, std::span<const int32_t> behind) const;

    std::shared_ptr<const Pieces> pieces_;
    std::vector<std::string> texts_;
    std::vector<Kind> kinds_;  // by token; empty without texts
};

// (token, what is subtracted from its logit), for the tokens that would continue a repetition in `tokens`,
// the newest at the end. As https://github.com/oobabooga/text-generation-webui/pull/5677 defines it.
std::vector<std::pair<int32_t, float>> dry_penalties(std::span<const int32_t> tokens,
                                                     const SamplerParams& params, const Breakers& breakers);

}  // namespace native
