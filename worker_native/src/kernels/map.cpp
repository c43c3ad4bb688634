#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/arithmetic.h"
#include "kernels/kernel.h"
#include "kernels/special.h"

// In this file a bool is a float that is 0 or 1, as everywhere inside a graph.
namespace native {
namespace {

// The source's element at flat position `row * ne0` of the result, and the step to the next one.
template <class T>
struct Lane {
    const T* data;
    int64_t stride;
    Lane(const ggml_tensor* t, const ggml_tensor* like, int64_t row)
        : stride(static_cast<int64_t>(t->nb[0] / sizeof(T))) {
        const int64_t i1 = row % like->ne[1], i2 = row / like->ne[1] % like->ne[2];
        const int64_t i3 = row / (like->ne[1] * like->ne[2]);
        data = reinterpret_cast<const T*>(static_cast<const char*>(t->data) + i1 * t->nb[1] + i2 * t->nb[2] +
                                          i3 * t->nb[3]);
    }
    T operator[](int64_t i) const { return data[i * stride]; }
};

// Calls run(row, column_begin, column_end) for the worker's part of the result.
template <class Run>
void each_row(const ggml_tensor* dst, int ith, int nth, Run run) {
    const Range range(ggml_nelements(dst), ith, nth);
    for (int64_t i = range.begin; i < range.end;) {
        const int64_t row = i / dst->ne[0], column = i % dst->ne[0];
        const int64_t end = std::min(dst->ne[0], column + range.end - i);
        run(row, column, end);
        i += end - column;
    }
}

template <class T, class R, auto f>
void map1(ggml_tensor* dst, int ith, int nth, void*) {
    each_row(dst, ith, nth, [&](int64_t row, int64_t begin, int64_t end) {
        R* out = static_cast<R*>(dst->data) + row * dst->ne[0];
        const Lane<T> a(dst->src[0], dst, row);
        if (a.stride == 1)
            for (int64_t i = begin; i < end; ++i) out[i] = f(a.data[i]);
        else
            for (int64_t i = begin; i < end; ++i) out[i] = f(a[i]);
    });
}

template <class T, class R, auto f>
void map2(ggml_tensor* dst, int ith, int nth, void*) {
    each_row(dst, ith, nth, [&](int64_t row, int64_t begin, int64_t end) {
        R* out = static_cast<R*>(dst->data) + row * dst->ne[0];
        const Lane<T> a(dst->src[0], dst, row), b(dst->src[1], dst, row);
        if (a.stride == 1 && b.stride == 1)
            for (int64_t i = begin; i < end; ++i) out[i] = f(a.data[i], b.data[i]);
        else if (a.stride == 1 && b.stride == 0)
            for (int64_t i = begin; i < end; ++i) out[i] = f(a.data[i], b.data[0]);
        else
            for (int64_t i = begin; i < end; ++i) out[i] = f(a[i], b[i]);
    });
}

// Integer division, which must not see a zero.
template <class T, auto f>
void divide(ggml_tensor* dst, int ith, int nth, void* data) {
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    each_row(dst, ith, nth, [&](int64_t row, int64_t begin, int64_t end) {
        T* out = static_cast<T*>(dst->data) + row * dst->ne[0];
        const Lane<T> a(dst->src[0], dst, row), b(dst->src[1], dst, row);
        for (int64_t i = begin; i < end; ++i) {
            if (b[i] == 0) kernel.fault->report(FaultKind::division, kernel.step, a[i], 0);
            out[i] = b[i] == 0 ? T(0) : f(a[i], b[i]);
        }
    });
}

template <class A, class T, auto f>
void map3(ggml_tensor* dst, int ith, int nth, void*) {
    each_row(dst, ith, nth, [&](int64_t row, int64_t begin, int64_t end) {
        T* out = static_cast<T*>(dst->data) + row * dst->ne[0];
        const Lane<A> a(dst->src[0], dst, row);
        const Lane<T> b(dst->src[1], dst, row), c(dst->src[2], dst, row);
        for (int64_t i = begin; i < end; ++i) out[i] = f(a[i], b[i], c[i]);
    });
}

using namespace arithmetic;

#define UNARY(name, T, R, expression)                                                        \
    KernelEntry {                                                                            \
        name, 1, type_for<T>, type_for<R>, map1<T, R, ([](T x) -> R { return expression; })> \
    }
#define BINARY(name, T, R, expression)                                                            \
    KernelEntry {                                                                                 \
        name, 2, type_for<T>, type_for<R>, map2<T, R, ([](T x, T y) -> R { return expression; })> \
    }
#define DIVIDE(name, T, function) \
    KernelEntry { name, 2, type_for<T>, type_for<T>, divide<T, function<T>> }
#define FLOATS(name, expression) UNARY(name, float, float, expression)
#define COMPARISONS(T)                                                                             \
    BINARY("eq", T, float, x == y), BINARY("ne", T, float, x != y), BINARY("lt", T, float, x < y), \
        BINARY("le", T, float, x <= y), BINARY("gt", T, float, x > y), BINARY("ge", T, float, x >= y)
#define SELECTIONS(T)                                                                            \
    BINARY("maximum", T, T, larger(x, y)), BINARY("minimum", T, T, smaller(x, y)), KernelEntry { \
        "where", 3, type_for<T>, type_for<T>,                                                    \
            map3<float, T, ([](float c, T x, T y) -> T { return c != 0 ? x : y; })>              \
    }
#define INTEGERS(T)                                                                                        \
    BINARY("add", T, T, wrap_add(x, y)), BINARY("sub", T, T, wrap_sub(x, y)),                              \
        BINARY("mul", T, T, wrap_mul(x, y)), BINARY("pow", T, T, int_power(x, y)),                         \
        BINARY("gcd", T, T, common_divisor(x, y)), BINARY("bit_and", T, T, T(x& y)),                       \
        BINARY("bit_or", T, T, T(x | y)), BINARY("bit_xor", T, T, T(x ^ y)),                               \
        BINARY("shift_left", T, T, shift_left(x, y)), BINARY("shift_right", T, T, shift_right(x, y)),      \
        DIVIDE("floor_div", T, floor_div), DIVIDE("trunc_div", T, trunc_div), DIVIDE("fmod", T, int_fmod), \
        DIVIDE("remainder", T, int_remainder), UNARY("neg", T, T, wrap_sub<T>(0, x)),                      \
        UNARY("abs", T, T, x < 0 ? wrap_sub<T>(0, x) : x), UNARY("sign", T, T, T((x > 0) - (x < 0))),      \
        UNARY("bit_not", T, T, T(~x)), COMPARISONS(T), SELECTIONS(T)

const KernelEntry entries[] = {
    FLOATS("erf", std::erf(x)),
    FLOATS("erfc", std::erfc(x)),
    FLOATS("erfinv", float(special::inverse_erf(x))),
    FLOATS("tan", std::tan(x)),
    FLOATS("asin", std::asin(x)),
    FLOATS("acos", std::acos(x)),
    FLOATS("atan", std::atan(x)),
    FLOATS("sinh", std::sinh(x)),
    FLOATS("cosh", std::cosh(x)),
    FLOATS("asinh", std::asinh(x)),
    FLOATS("acosh", std::acosh(x)),
    FLOATS("atanh", std::atanh(x)),
    FLOATS("exp2", std::exp2(x)),
    FLOATS("log2", std::log2(x)),
    FLOATS("log10", std::log10(x)),
    FLOATS("log1p", std::log1p(x)),
    FLOATS("lgamma", std::lgamma(x)),
    FLOATS("digamma", float(special::digamma(x))),
    FLOATS("erfcx", float(special::scaled_erfc(x))),
    FLOATS("log_ndtr", float(special::log_normal_share(x))),
    FLOATS("ndtri", float(special::normal_quantile(x))),
    FLOATS("i0", float(special::bessel_i(0, x))),
    FLOATS("i0e", float(special::scaled_bessel_i(0, x))),
    FLOATS("i1", float(special::bessel_i(1, x))),
    FLOATS("i1e", float(special::scaled_bessel_i(1, x))),
    FLOATS("k0", float(special::scaled_bessel_k(0, x) * std::exp(-double(x)))),
    FLOATS("k0e", float(special::scaled_bessel_k(0, x))),
    FLOATS("k1", float(special::scaled_bessel_k(1, x) * std::exp(-double(x)))),
    FLOATS("k1e", float(special::scaled_bessel_k(1, x))),
    FLOATS("j0", float(::j0(x))),
    FLOATS("j1", float(::j1(x))),
    FLOATS("y0", float(x == 0  ? -INFINITY
                       : x < 0 ? NAN
                               : ::y0(x))),
    FLOATS("y1", float(x == 0  ? -INFINITY
                       : x < 0 ? NAN
                               : ::y1(x))),
    FLOATS("rsqrt", 1 / std::sqrt(x)),
    FLOATS("reciprocal", 1 / x),
    FLOATS("round", std::nearbyint(x)),
    FLOATS("frac", x - std::trunc(x)),
    FLOATS("relu", x > 0 || std::isnan(x) ? x : 0.0f),
    FLOATS("hardsigmoid", x != x ? x : std::fmin(std::fmax(x + 3, 0.0f), 6.0f) / 6),
    FLOATS("sign", float((x > 0) - (x < 0))),
    FLOATS("isnan", std::isnan(x)),
    FLOATS("isinf", std::isinf(x)),
    FLOATS("isfinite", std::isfinite(x)),
    FLOATS("signbit", std::signbit(x)),
    FLOATS("logical_not", x == 0),
    FLOATS("to_bool", x != 0),
    UNARY("to_bool", int32_t, float, x != 0),
    UNARY("to_bool", int64_t, float, x != 0),
    UNARY("to_i32", float, int32_t, (convert<int32_t, float>(x))),
    UNARY("to_i64", float, int64_t, (convert<int64_t, float>(x))),
    UNARY("to_f32", int32_t, float, (convert<float, int32_t>(x))),
    UNARY("to_f32", int64_t, float, (convert<float, int64_t>(x))),
    UNARY("to_i64", int32_t, int64_t, (convert<int64_t, int32_t>(x))),
    UNARY("to_i32", int64_t, int32_t, (convert<int32_t, int64_t>(x))),
    BINARY("add", float, float, x + y),
    BINARY("sub", float, float, x - y),
    BINARY("mul", float, float, x* y),
    BINARY("div", float, float, x / y),
    BINARY("trunc_div", float, float, std::trunc(x / y)),
    BINARY("floor_div", float, float, float_floor_div(x, y)),
    BINARY("fmod", float, float, std::fmod(x, y)),
    BINARY("remainder", float, float, float_remainder(x, y)),
    BINARY("pow", float, float, std::pow(x, y)),
    BINARY("atan2", float, float, std::atan2(x, y)),
    BINARY("hypot", float, float, std::hypot(x, y)),
    BINARY("copysign", float, float, std::copysign(x, y)),
    BINARY("nextafter", float, float, std::nextafter(x, y)),
    BINARY("zeta", float, float, float(special::zeta(x, y))),
    BINARY("igamma", float, float, float(special::gamma_below(x, y))),
    BINARY("igammac", float, float, float(special::gamma_above(x, y))),
    BINARY("logical_and", float, float, x != 0 && y != 0),
    BINARY("logical_or", float, float, x != 0 || y != 0),
    BINARY("logical_xor", float, float, (x != 0) != (y != 0)),
    COMPARISONS(float),
    SELECTIONS(float),
    INTEGERS(int32_t),
    INTEGERS(int64_t),
};

}  // namespace

std::span<const KernelEntry> map_kernels() { return entries; }

}  // namespace native
