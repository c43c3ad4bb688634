#include "sampling/params.h"

#include <cmath>

#include "base/check.h"
#include "sampling/order.h"

namespace native {

void SamplerParams::check() const {
    // A number that is none is in no range.
    each(*this, [](const char* name, auto value, auto low, auto high) {
        if (!(value >= low && value <= high)) bad_value(name, ": ", value, " is outside ", low, "..", high);
    });
    order_of(samplers);
    for (const auto& [token, bias] : logit_bias)
        if (std::isnan(bias) || bias > 1e30 || (bias < -1e30 && std::isfinite(bias)))
            bad_value("logit_bias: ", bias, " for token ", token,
                      "; give a number that is not as large, or -inf");
    for (const std::string& text : dry_sequence_breakers)
        if (text.empty()) bad_value("dry_sequence_breakers: an empty text; leave it out");
}

void SamplerParams::check(int32_t vocab_size) const {
    if (logprobs > vocab_size)
        bad_value("logprobs: ", logprobs, " of a vocabulary of ", vocab_size, " tokens");
    for (const auto& [token, bias] : logit_bias) in_range("logit_bias", token, 0, vocab_size - 1);
    for (const int64_t token : stop_token_ids) in_range("stop_token_ids", token, 0, vocab_size - 1);
}

}  // namespace native
