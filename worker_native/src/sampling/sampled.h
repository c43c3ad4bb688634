// A token and what the model thought of it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sampling/logits.h"

namespace native {

struct Sampled {
    int32_t token = 0;
    double logprob = 0;                           // natural log, of the raw logits
    std::vector<std::pair<int32_t, double>> top;  // most probable first
    std::string error;                            // why nothing could be drawn; empty if a token was
};

// The probabilities of a row of logits.
class Probabilities {
  public:
    // Sets `maxima`, which have to stay. Throws on logits that are no distribution.
    Probabilities(std::span<const float> logits, BlockMaxima& maxima);

    // Sets the token, and all that is told of it; `tokens` is overwritten.
    void tell(int32_t token, int64_t num_top, std::vector<int32_t>& tokens, Sampled& sampled) const;

  private:
    double logprob(int32_t token) const {
        return double(logits_[token]) - double(maxima_.largest) - log_sum_;
    }

    std::span<const float> logits_;
    const BlockMaxima& maxima_;
    double log_sum_;  // the logarithm of the sum of exp(logit - largest)
};

}  // namespace native
