#include "vocab/vocab.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "base/abort_guard.h"
#include "base/check.h"
#include "base/log.h"
#include "gguf/file.h"
#include "gguf/tokenizer.h"
#include "vocab/deep_stack.h"

namespace native {
namespace {

std::optional<int32_t> token_or_none(llama_token token) {
    return token == LLAMA_TOKEN_NULL ? std::nullopt : std::optional<int32_t>(token);
}

// libllama asserts that the tokens it is to add exist.
void check_special(const llama_vocab* vocab) {
    const bool is_wordpiece = llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_WPM;
    const bool adds_bos = llama_vocab_get_add_bos(vocab) || is_wordpiece;
    if (adds_bos && llama_vocab_bos(vocab) == LLAMA_TOKEN_NULL)
        bad_value("tokenizer: adds a BOS token but has none; set tokenizer.ggml.add_bos_token to false");
    if (llama_vocab_get_add_eos(vocab) && llama_vocab_eos(vocab) == LLAMA_TOKEN_NULL)
        bad_value("tokenizer: adds an EOS token but has none; set tokenizer.ggml.add_eos_token to false");
    if ((is_wordpiece || llama_vocab_get_add_sep(vocab)) && llama_vocab_sep(vocab) == LLAMA_TOKEN_NULL)
        bad_value("tokenizer: adds a SEP token but has none");
}

// Measured with all pre-tokenizers of llama.cpp as packaged in llama-cpp-python 0.3.36, built by GCC 13 for
// x86-64: up to 375 bytes of stack for each byte of a run of letters, since std::regex calls itself for each.
constexpr int64_t stack_bytes_per_text_byte = 512;
// The text that any thread's stack has room for.
constexpr size_t shallow_text_bytes = 2048;

// With a longer run, the pattern of some pre-tokenizers takes seconds, and four times as long with twice the
// run.
constexpr int64_t max_quadratic_run = 4096;

bool is_digit(unsigned char byte) { return byte >= '0' && byte <= '9'; }

bool is_space(unsigned char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

void check_runs(std::string_view text, bool (*is_member)(unsigned char), const char* what) {
    int64_t run = 0;
    for (const char byte : text) {
        run = is_member(static_cast<unsigned char>(byte)) ? run + 1 : 0;
        if (run > max_quadratic_run)
            bad_value("text: has more than ", max_quadratic_run, " ", what,
                      " in a row, for which this model's tokenizer takes too long; break them up");
    }
}

// "(?=(\\d{3})+(?!\\d))" and "\\s+$" are tried anew at each digit or space of a run.
void check_quadratic(std::string_view text, const std::string& pattern) {
    if (pattern == "superbpe") check_runs(text, is_digit, "digits");
    if (pattern == "deepseek-llm") check_runs(text, is_space, "spaces");
}

ModelPtr load_vocabulary(const std::string& path, const llama_model_kv_override* overrides) {
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    params.kv_overrides = overrides;
    const LoggedErrors errors;
    ModelPtr model(llama_model_load_from_file(path.c_str(), params));
    if (!model) failed("tokenizer: ", errors.first("libllama gave no reason"));
    return model;
}

// libllama puts a space before each text that follows a control token or nothing.
bool puts_spaces(const llama_model* model, const llama_vocab* vocab) {
    const auto type = llama_vocab_type(vocab);
    if (type != LLAMA_VOCAB_TYPE_SPM && type != LLAMA_VOCAB_TYPE_UGM) return false;
    std::array<char, 8> value{};
    const int32_t length =
        llama_model_meta_val_str(model, "tokenizer.ggml.add_space_prefix", value.data(), value.size());
    return length < 0 || std::string_view(value.data()) != "false";
}

ModelPtr load_unspaced(const std::string& path) {
    std::array<llama_model_kv_override, 2> overrides{};  // the second one ends the list
    overrides[0].tag = LLAMA_KV_OVERRIDE_TYPE_BOOL;
    std::strcpy(overrides[0].key, "tokenizer.ggml.add_space_prefix");
    overrides[0].val_bool = false;
    return load_vocabulary(path, overrides.data());
}

void append(std::vector<int32_t>& tokens, const std::vector<int32_t>& more) {
    tokens.insert(tokens.end(), more.begin(), more.end());
}

std::vector<int32_t> tokenized(const llama_vocab* vocab, std::string_view text, bool add_special,
                               bool parse_special) {
    std::vector<int32_t> tokens(text.size() / 2 + 16);
    const auto fill = [&] {
        const AbortGuard guard;
        return llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                              static_cast<int32_t>(tokens.size()), add_special, parse_special);
    };
    try {
        int32_t count = fill();
        if (count == INT32_MIN) bad_value("text: has too many tokens");
        if (count < 0) {  // that many are needed
            tokens.resize(static_cast<size_t>(-count));
            count = fill();
        }
        if (count < 0) failed("tokenize: libllama returned ", count);
        tokens.resize(static_cast<size_t>(count));
    } catch (const std::out_of_range&) {  // it looked up the tokens of a character's bytes
        bad_value("text: has a character for which this model's vocabulary has no token; leave it out");
    }
    return tokens;
}

}  // namespace

Vocab::Vocab(const std::string& path) {
    if (check_tokenizer(open_gguf(path).get()) == "none")
        bad_value("tokenizer: '", path, "' has none; give the whole model's file or its last slice");
    model_ = load_vocabulary(path, nullptr);
    vocab_ = llama_model_get_vocab(model_.get());
    num_tokens_ = llama_vocab_n_tokens(vocab_);
    std::array<char, 64> pattern{};  // a longer name is none that matters here
    if (llama_model_meta_val_str(model_.get(), "tokenizer.ggml.pre", pattern.data(), pattern.size()) > 0)
        pattern_ = pattern.data();
    check_special(vocab_);
    constexpr int special = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN;
    for (int32_t token = 0; token < num_tokens_; ++token) {
        if (llama_vocab_is_eog(vocab_, token)) end_tokens_.push_back(token);
        if (llama_vocab_get_attr(vocab_, token) & special) special_tokens_.push_back(token);
    }
    if (puts_spaces(model_.get(), vocab_)) {
        unspaced_model_ = load_unspaced(path);
        unspaced_ = llama_model_get_vocab(unspaced_model_.get());
        special_names_ = SpecialNames(vocab_);
    }
}

std::optional<int32_t> Vocab::bos() const { return token_or_none(llama_vocab_bos(vocab_)); }

std::optional<int32_t> Vocab::eos() const { return token_or_none(llama_vocab_eos(vocab_)); }

int64_t Vocab::longest_token_bytes() const {
    int64_t longest = 0;
    for (int32_t token = 0; token < num_tokens_; ++token) {
        int64_t size = std::ssize(token_bytes(token, true));
        // One that is marked as unused has no bytes of its own, and yet a text may hold its name.
        if (size == 0) size = std::ssize(std::string_view(llama_vocab_get_text(vocab_, token)));
        longest = std::max(longest, size);
    }
    return longest;
}

int32_t Vocab::token_kind(int64_t token) const {
    const int attributes = llama_vocab_get_attr(vocab_, in_range("token", token, 0, num_tokens_ - 1));
    // One of these is set at most; libllama may have made a control token of what the file calls another.
    if (attributes & LLAMA_TOKEN_ATTR_CONTROL) return LLAMA_TOKEN_TYPE_CONTROL;
    if (attributes & LLAMA_TOKEN_ATTR_UNKNOWN) return LLAMA_TOKEN_TYPE_UNKNOWN;
    if (attributes & LLAMA_TOKEN_ATTR_USER_DEFINED) return LLAMA_TOKEN_TYPE_USER_DEFINED;
    if (attributes & LLAMA_TOKEN_ATTR_UNUSED) return LLAMA_TOKEN_TYPE_UNUSED;
    if (attributes & LLAMA_TOKEN_ATTR_BYTE) return LLAMA_TOKEN_TYPE_BYTE;
    return LLAMA_TOKEN_TYPE_NORMAL;
}

std::vector<int32_t> Vocab::tokenize(const std::vector<Piece>& pieces, bool add_special,
                                     int64_t max_stack_bytes) const {
    size_t num_bytes = 0, longest = 0;
    for (const Piece& piece : pieces) {
        num_bytes += piece.text.size();
        longest = std::max(longest, piece.text.size());
        check_quadratic(piece.text, pattern_);
    }
    if (num_bytes > size_t(INT32_MAX) / 2) bad_value("text: ", num_bytes, " bytes; at most ", INT32_MAX / 2);
    if (longest <= shallow_text_bytes) return run(pieces, add_special);
    const int64_t stack_bytes = stack_bytes_per_text_byte * static_cast<int64_t>(longest);
    std::vector<int32_t> tokens;
    on_deep_stack(std::min(stack_bytes, max_stack_bytes), [&] { tokens = run(pieces, add_special); });
    return tokens;
}

std::vector<int32_t> Vocab::run(const std::vector<Piece>& pieces, bool add_special) const {
    if (pieces.size() == 1)
        return tokenized(vocab_, pieces.front().text, add_special, pieces.front().parse_special);
    // What belongs around a text is what an empty one gets.
    const std::vector<int32_t> around =
        add_special ? tokenized(vocab_, "", true, false) : std::vector<int32_t>();
    const bool begins = adds_bos() || type() == LLAMA_VOCAB_TYPE_WPM;
    const auto first_end = around.begin() + (begins && !around.empty() ? 1 : 0);
    std::vector<int32_t> tokens(around.begin(), first_end);
    if (unspaced_)
        append(tokens, run_seamless(pieces));
    else
        for (const Piece& piece : pieces)
            append(tokens, tokenized(vocab_, piece.text, false, piece.parse_special));
    tokens.insert(tokens.end(), first_end, around.end());
    return tokens;
}

std::vector<int32_t> Vocab::run_seamless(const std::vector<Piece>& pieces) const {
    std::vector<int32_t> tokens;
    bool goes_on = false;  // a text without a control token between
    for (const Piece& piece : pieces)
        for (const Fragment& fragment : special_names_.split(piece.text, piece.parse_special)) {
            if (fragment.is_text())
                append(tokens, tokenized(goes_on ? unspaced_ : vocab_, fragment.text, false, false));
            else
                tokens.push_back(fragment.token);
            goes_on = fragment.is_text();
        }
    return tokens;
}

std::string Vocab::token_bytes(int64_t token, bool render_special) const {
    const int32_t id = in_range("token", token, 0, num_tokens_ - 1);
    std::string bytes(32, '\0');
    int32_t length =
        llama_token_to_piece(vocab_, id, bytes.data(), static_cast<int32_t>(bytes.size()), 0, render_special);
    if (length < 0) {
        bytes.resize(static_cast<size_t>(-length));
        length = llama_token_to_piece(vocab_, id, bytes.data(), static_cast<int32_t>(bytes.size()), 0,
                                      render_special);
    }
    if (length < 0) failed("token_bytes: libllama returned ", length);
    bytes.resize(static_cast<size_t>(length));
    return bytes;
}

}  // namespace native
