#include "kernels/fourier/transform.h"

#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "kernels/fourier/pass.h"

namespace native {

Root::Root(int64_t at, int64_t n) {
    // A quarter turn is a change of sign and side; within a quarter the angle is small.
    const int64_t quarter = at % n * 4 / n, rest = at % n * 4 % n;
    const double angle = static_cast<double>(rest) / static_cast<double>(n) * (std::numbers::pi / 2);
    const double c = std::cos(angle), s = std::sin(angle);
    switch (quarter) {
        case 0:
            cos = c;
            sin = -s;
            break;
        case 1:
            cos = -s;
            sin = -c;
            break;
        case 2:
            cos = -c;
            sin = s;
            break;
        default:
            cos = s;
            sin = c;
    }
}

// All passes over the data, compiled for one kind of CPU.
template <class T>
struct Passes {
    using Pass = typename Transform<T>::Pass;

    template <int radix>
    [[gnu::always_inline]] static inline void one(const Pass& at, Split<T> in, Split<T> out, int64_t width) {
        const T *cos = at.cos.data(), *sin = at.sin.data();
        if (at.rest == 1) return pass<radix, 0, false>(in, out, cos, sin, at.rest, width);
        if (width == 1) return pass<radix, 1, true>(in, out, cos, sin, at.rest, width);
        if (width == 4) return pass<radix, 4, true>(in, out, cos, sin, at.rest, width);
        if (width == 8) return pass<radix, 8, true>(in, out, cos, sin, at.rest, width);
        if (width == 16) return pass<radix, 16, true>(in, out, cos, sin, at.rest, width);
        pass<radix, 0, true>(in, out, cos, sin, at.rest, width);
    }
    [[gnu::always_inline]] static inline Split<T> all(const std::vector<Pass>& passes, Split<T> data,
                                                      Split<T> other, int64_t width) {
        for (const Pass& at : passes) {
            switch (at.radix) {
                case 2:
                    one<2>(at, data, other, width);
                    break;
                case 3:
                    one<3>(at, data, other, width);
                    break;
                case 4:
                    one<4>(at, data, other, width);
                    break;
                case 5:
                    one<5>(at, data, other, width);
                    break;
                case 8:
                    one<8>(at, data, other, width);
                    break;
                default:
                    odd_pass(data, other, at.cos.data(), at.sin.data(), at.root_cos.data(),
                             at.root_sin.data(), at.radix, at.rest, width);
            }
            std::swap(data, other);
            width *= at.radix;
        }
        return data;
    }
    static Split<T> plain(const std::vector<Pass>& passes, Split<T> data, Split<T> other, int64_t width) {
        return all(passes, data, other, width);
    }
#if defined(__x86_64__)
    [[gnu::target("avx2,fma")]] static Split<T> avx2(const std::vector<Pass>& passes, Split<T> data,
                                                     Split<T> other, int64_t width) {
        return all(passes, data, other, width);
    }
    [[gnu::target("avx512f,avx512vl,avx512dq,avx2,fma")]] static Split<T> avx512(
        const std::vector<Pass>& passes, Split<T> data, Split<T> other, int64_t width) {
        return all(passes, data, other, width);
    }
#endif
    static auto of_this_cpu() {
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) return avx512;
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2;
#endif
        return plain;
    }
};

namespace {

// The factors of n in the order of their passes, and what is left of it.
std::pair<std::vector<int64_t>, int64_t> factors_of(int64_t n) {
    std::vector<int64_t> factors;
    int twos = 0;
    for (; n % 2 == 0; n /= 2) ++twos;
    // The twos become factors of 4 and 8 alone where that is possible, and those of 4 come first.
    const int fours = twos == 1 || twos == 3 ? 0 : std::array{3, 2, 1}[static_cast<size_t>(twos % 3)];
    if (twos == 1) {
        factors.push_back(2);
        twos = 0;
    }
    for (int i = 0; i < fours && twos > 0; ++i, twos -= 2) factors.push_back(4);
    for (; twos > 0; twos -= 3) factors.push_back(8);
    for (int64_t radix = 3; radix <= max_radix; radix += 2)
        for (; n % radix == 0; n /= radix) factors.push_back(radix);
    return {factors, n};
}

// The smallest length from `low` on without primes above 5.
int64_t smooth_length(int64_t low) {
    for (int64_t n = low;; ++n) {
        int64_t left = n;
        for (int64_t prime : {2, 3, 5})
            while (left % prime == 0) left /= prime;
        if (left == 1 && n % 16 == 0) return n;
    }
}

}  // namespace

template <class T>
Transform<T>::Transform(int64_t n) : n_(n) {
    const auto [factors, left] = factors_of(n);
    if (left > 1) {
        plan_convolution();
        return;
    }
    int64_t rest = n;
    for (int64_t radix : factors) add_pass(radix, rest /= radix);
}

template <class T>
void Transform<T>::add_pass(int64_t radix, int64_t rest) {
    Pass pass = {radix, rest, {}, {}, {}, {}};
    for (int64_t k = 1; k < radix && rest > 1; ++k)
        for (int64_t p = 0; p < rest; ++p) {
            const Root turn(p * k, radix * rest);
            pass.cos.push_back(static_cast<T>(turn.cos));
            pass.sin.push_back(static_cast<T>(turn.sin));
        }
    for (int64_t k = 0; k < radix && radix > 5; ++k) {
        const Root root(k, radix);
        pass.root_cos.push_back(static_cast<T>(root.cos));
        pass.root_sin.push_back(static_cast<T>(root.sin));
    }
    passes_.push_back(std::move(pass));
}

// j k = (j^2 + k^2 - (k - j)^2) / 2: turned, convolved with the opposite turns, turned again.
template <class T>
void Transform<T>::plan_convolution() {
    const int64_t length = smooth_length(2 * n_ - 1);
    inner_ = std::make_unique<Transform>(length);
    const auto size = static_cast<size_t>(length);
    std::vector<double> re(size), im(size), other_re(size), other_im(size);
    int64_t square = 0;  // j^2, modulo the 2 n parts of a turn
    for (int64_t j = 0; j < n_; square = (square + 2 * j + 1) % (2 * n_), ++j) {
        const Root turn(square, 2 * n_);
        chirp_cos_.push_back(static_cast<T>(turn.cos));
        chirp_sin_.push_back(static_cast<T>(turn.sin));
        const auto at = static_cast<size_t>(j), mirrored = j > 0 ? size - at : 0;
        re[at] = re[mirrored] = turn.cos;
        im[at] = im[mirrored] = -turn.sin;
    }
    const Split<double> spectrum =
        Transform<double>(length).run({re.data(), im.data()}, {other_re.data(), other_im.data()}, 1);
    for (int64_t k = 0; k < length; ++k) {
        spectrum_re_.push_back(static_cast<T>(spectrum.re[k] / static_cast<double>(length)));
        spectrum_im_.push_back(static_cast<T>(spectrum.im[k] / static_cast<double>(length)));
    }
}

namespace {

// [n][lanes] times [n].
template <class T>
void multiply(Split<T> data, const T* re, const T* im, int64_t n, int64_t lanes) {
    for (int64_t j = 0; j < n; ++j) {
        const T c = re[j], s = im[j];
        INDEPENDENT
        for (int64_t at = j * lanes; at < (j + 1) * lanes; ++at) {
            const T r = data.re[at] * c - data.im[at] * s;
            data.im[at] = data.re[at] * s + data.im[at] * c;
            data.re[at] = r;
        }
    }
}

}  // namespace

template <class T>
Split<T> Transform<T>::convolve(Split<T> data, Split<T> other, int64_t lanes) const {
    multiply(data, chirp_cos_.data(), chirp_sin_.data(), n_, lanes);
    for (T* part : {data.re, data.im}) std::fill(part + n_ * lanes, part + inner_->n_ * lanes, T(0));
    const Split<T> spectrum = inner_->run(data, other, lanes);
    multiply(spectrum, spectrum_re_.data(), spectrum_im_.data(), inner_->n_, lanes);
    const Split<T> spare = spectrum.re == data.re ? other : data;
    const Split<T> result = inner_->run(spectrum.swapped(), spare.swapped(), lanes).swapped();
    multiply(result, chirp_cos_.data(), chirp_sin_.data(), n_, lanes);
    return result;
}

template <class T>
Split<T> Transform<T>::run(Split<T> data, Split<T> other, int64_t lanes) const {
    if (inner_) return convolve(data, other, lanes);
    static const auto passes = Passes<T>::of_this_cpu();
    return passes(passes_, data, other, lanes);
}

template <class T>
int64_t Transform<T>::num_bytes() const {
    size_t count = 2 * (chirp_cos_.size() + spectrum_re_.size());
    for (const Pass& pass : passes_) count += 2 * (pass.cos.size() + pass.root_cos.size());
    return static_cast<int64_t>(count * sizeof(T)) + (inner_ ? inner_->num_bytes() : 0);
}

template class Transform<float>;
template class Transform<double>;

}  // namespace native
