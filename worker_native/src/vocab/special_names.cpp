#include "vocab/special_names.h"

#include <algorithm>
#include <cctype>

namespace native {
namespace {

bool is_space(char byte) { return std::isspace(static_cast<unsigned char>(byte)) != 0; }

std::string_view without_spaces_at_end(std::string_view text) {
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

std::string_view without_spaces_in_front(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    return text;
}

void add_text(std::vector<Fragment>& fragments, std::string_view text) {
    if (!text.empty()) fragments.push_back({text});
}

}  // namespace

SpecialNames::SpecialNames(const llama_vocab* vocab) {
    constexpr int special =
        LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN | LLAMA_TOKEN_ATTR_USER_DEFINED;
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); ++token) {
        const int attributes = llama_vocab_get_attr(vocab, token);
        const std::string_view text = llama_vocab_get_text(vocab, token);
        if (!(attributes & special) || text.empty()) continue;
        names_.push_back({text, token, !(attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)),
                          (attributes & LLAMA_TOKEN_ATTR_LSTRIP) != 0,
                          (attributes & LLAMA_TOKEN_ATTR_RSTRIP) != 0});
    }
    std::stable_sort(names_.begin(), names_.end(),
                     [](const Name& a, const Name& b) { return a.text.size() > b.text.size(); });
}

std::vector<Fragment> SpecialNames::split(std::string_view text, bool parse_special) const {
    std::vector<Fragment> fragments, next;
    add_text(fragments, text);
    for (const Name& name : names_) {
        if (!parse_special && !name.is_user_defined) continue;
        if (text.find(name.text) == std::string_view::npos) continue;
        next.clear();
        for (const Fragment& fragment : fragments) {
            std::string_view rest = fragment.text;
            size_t found = fragment.is_text() ? rest.find(name.text) : std::string_view::npos;
            if (found == std::string_view::npos) {
                next.push_back(fragment);
                continue;
            }
            for (; found != std::string_view::npos; found = rest.find(name.text)) {
                const std::string_view left = rest.substr(0, found);
                add_text(next, name.strips_left ? without_spaces_at_end(left) : left);
                next.push_back({{}, name.token});
                rest.remove_prefix(found + name.text.size());
                if (name.strips_right) rest = without_spaces_in_front(rest);
            }
            add_text(next, rest);
        }
        fragments.swap(next);
    }
    return fragments;
}

}  // namespace native
