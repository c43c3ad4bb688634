// Functions of one or two numbers where PyTorch's result is not the one of the language's own operators.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace native::arithmetic {

// Integers wrap.
template <class T>
T wrap_add(T x, T y) {
    return static_cast<T>(std::make_unsigned_t<T>(x) + std::make_unsigned_t<T>(y));
}
template <class T>
T wrap_sub(T x, T y) {
    return static_cast<T>(std::make_unsigned_t<T>(x) - std::make_unsigned_t<T>(y));
}
template <class T>
T wrap_mul(T x, T y) {
    return static_cast<T>(std::make_unsigned_t<T>(x) * std::make_unsigned_t<T>(y));
}

template <class T>
T trunc_div(T x, T y) {
    return y == -1 ? wrap_sub<T>(0, x) : T(x / y);
}
template <class T>
T floor_div(T x, T y) {
    const T quotient = trunc_div(x, y);
    return y != -1 && x % y != 0 && ((x < 0) != (y < 0)) ? T(quotient - 1) : quotient;
}
template <class T>
T int_fmod(T x, T y) {
    return y == -1 ? T(0) : T(x % y);
}
template <class T>
T int_remainder(T x, T y) {
    const T rest = int_fmod(x, y);
    return rest != 0 && ((rest < 0) != (y < 0)) ? T(rest + y) : rest;
}

inline float float_remainder(float x, float y) {
    const float rest = std::fmod(x, y);
    return rest != 0 && ((rest < 0) != (y < 0)) ? rest + y : rest;
}
// Python's floor division, which PyTorch follows.
inline float float_floor_div(float x, float y) {
    if (y == 0) return x / y;
    const float rest = std::fmod(x, y);
    float quotient = (x - rest) / y;
    if (rest != 0 && ((y < 0) != (rest < 0))) quotient -= 1;
    if (quotient == 0) return std::copysign(0.0f, x / y);
    const float floor = std::floor(quotient);
    return quotient - floor > 0.5f ? floor + 1 : floor;
}

template <class T>
T int_power(T base, T exponent) {
    if (exponent < 0) return base == 1 ? T(1) : base == -1 ? (exponent % 2 ? T(-1) : T(1)) : T(0);
    T result = 1;
    for (; exponent > 0; exponent /= 2, base = wrap_mul(base, base))
        if (exponent % 2) result = wrap_mul(result, base);
    return result;
}

template <class T>
T common_divisor(T x, T y) {
    using U = std::make_unsigned_t<T>;
    U a = x < 0 ? U(0) - U(x) : U(x), b = y < 0 ? U(0) - U(y) : U(y);
    while (b != 0) {
        const U rest = a % b;
        a = b;
        b = rest;
    }
    return static_cast<T>(a);
}

template <class T>
T shift_left(T x, T y) {
    constexpr T width = std::numeric_limits<std::make_unsigned_t<T>>::digits;
    return y < 0 || y >= width ? T(0) : static_cast<T>(std::make_unsigned_t<T>(x) << y);
}
template <class T>
T shift_right(T x, T y) {
    constexpr T width = std::numeric_limits<T>::digits;
    return y < 0 || y >= width ? T(x < 0 ? -1 : 0) : T(x >> y);
}

template <class To, class From>
To convert(From x) {
    if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
        // Values that do not fit become what x86 makes of them; a plain cast would be undefined.
        constexpr From bound = From(uint64_t(1) << (sizeof(To) * 8 - 1));
        if (!(x >= -bound && x < bound)) return std::numeric_limits<To>::min();
    }
    return static_cast<To>(x);
}

}  // namespace native::arithmetic
