// The discrete Fourier transform of any length, on separate real and imaginary parts.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace native {

// Complex numbers: real parts in one array, imaginary parts in another.
template <class T>
struct Split {
    T* re;
    T* im;
    Split swapped() const { return {im, re}; }
};

// exp(-2 pi i at / n) with right angles exact. n >= 1, at >= 0.
struct Root {
    double cos, sin;
    Root(int64_t at, int64_t n);
};

// A plan for transforms of n elements, computed once. It is constant afterwards: any thread may use it. A
// length without large primes is done in passes, one for each factor (J. Cooley, J. Tukey 1965), in the order
// that needs no permutation (T. Stockham 1966); any other is a convolution of such a length (L. Bluestein
// 1970).
template <class T>
class Transform {
  public:
    explicit Transform(int64_t n);

    int64_t size() const { return n_; }
    int64_t num_bytes() const;
    // The elements of each lane that the arrays of `run` have.
    int64_t room() const { return inner_ ? inner_->n_ : n_; }
    // The sums of x[j] exp(-2 pi i j k / n) of `lanes` transforms side by side: [n][lanes]. Both arrays are
    // overwritten; the result lies in the one that is returned. Swapped parts give the inverse, not scaled.
    Split<T> run(Split<T> data, Split<T> other, int64_t lanes) const;

  private:
    struct Pass {
        int64_t radix, rest;                // rest: of the length, behind this factor
        std::vector<T> cos, sin;            // [radix - 1][rest]: the turns of all results but the first
        std::vector<T> root_cos, root_sin;  // [radix], where the radix has no formula of its own
    };
    template <class Number>
    friend struct Passes;

    void add_pass(int64_t radix, int64_t rest);
    void plan_convolution();
    Split<T> convolve(Split<T> data, Split<T> other, int64_t lanes) const;

    int64_t n_;
    std::vector<Pass> passes_;
    std::unique_ptr<Transform> inner_;          // what a convolution transforms with
    std::vector<T> chirp_cos_, chirp_sin_;      // [n]
    std::vector<T> spectrum_re_, spectrum_im_;  // [inner n], of what is convolved with
};

}  // namespace native
