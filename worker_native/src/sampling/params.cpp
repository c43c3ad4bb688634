#include "sampling/params.h"

#include "base/check.h"

namespace native {
namespace {

void check_real(const char* what, double value, double low, double high) {
    if (!(value >= low && value <= high)) bad_value(what, ": ", value, " is outside ", low, "..", high);
}

}  // namespace

void SamplerParams::check() const {
    check_real("temperature", temperature, 0, 100);
    in_range("top_k", top_k, 0, INT32_MAX);
    check_real("top_p", top_p, 0, 1);
    check_real("min_p", min_p, 0, 1);
    check_real("repeat_penalty", repeat_penalty, 1e-3, 100);
    in_range("repeat_last_n", repeat_last_n, -1, INT32_MAX);
    check_real("presence_penalty", presence_penalty, -100, 100);
    check_real("frequency_penalty", frequency_penalty, -100, 100);
    in_range("logprobs", logprobs, 0, INT32_MAX);
}

}  // namespace native
