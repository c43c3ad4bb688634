#include "kernels/special.h"

#include <cmath>
#include <initializer_list>
#include <limits>

namespace native::special {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double pi = 3.14159265358979323846;
constexpr double root_of_two = 1.41421356237309504880;

// The common factor of both shares of the gamma distribution: x^a exp(-x) / gamma(a).
double gamma_factor(double a, double x) { return std::exp(a * std::log(x) - x - std::lgamma(a)); }

// Nobody needs more; one element must not stop everybody else.
constexpr int most_terms = 200000;
// From this shape on the series are long, and their factor loses digits.
constexpr double large_shape = 1e5;

// Temme's uniform expansion to its first correction (DLMF 8.12.3), which is off by a share of 1 / a: for sign
// -1 the share below x, for 1 that above.
double gamma_uniform(double a, double x, double sign) {
    const double away = (x - a) / a;  // log1p(away) loses all digits of eta where it is small
    const double eta = std::fabs(away) < 1e-3 ? away * (1 - away * (1.0 / 3 - away * (7.0 / 36)))
                                              : std::copysign(std::sqrt(2 * (away - std::log1p(away))), away);
    const double correction = std::fabs(away) < 1e-3 ? -1.0 / 3 + away / 12 : 1 / away - 1 / eta;
    const double rest = std::exp(-0.5 * a * eta * eta) / std::sqrt(2 * pi * a) * correction;
    return 0.5 * std::erfc(sign * eta * std::sqrt(a / 2)) + sign * rest;
}

// The series for x below a + 1 (Abramowitz and Stegun, 6.5.29).
double gamma_series(double a, double x) {
    double term = 1 / a, sum = term;
    for (int k = 1; k < most_terms && term > sum * 1e-17; ++k) sum += term *= x / (a + k);
    return sum * gamma_factor(a, x);
}

// The continued fraction for x from a + 1 on (6.5.31), by Lentz's method.
double gamma_fraction(double a, double x) {
    double b = x + 1 - a, c = 1e300, d = 1 / b, product = d;
    for (int k = 1; k < most_terms; ++k) {
        const double step = -k * (k - a);
        b += 2;
        d = step * d + b;
        c = b + step / c;
        d = 1 / (std::fabs(d) < 1e-300 ? 1e-300 : d);
        c = std::fabs(c) < 1e-300 ? 1e-300 : c;
        product *= d * c;
        if (std::fabs(d * c - 1) < 1e-16) break;
    }
    return product * gamma_factor(a, x);
}

// The share below x where no series is needed; a number below 0 where one is.
double gamma_corner(double a, double x) {
    if (a < 0 || x < 0) return not_a_number;
    if (a == 0) return x > 0 ? 1 : not_a_number;
    if (x == 0) return 0;
    if (std::isnan(a) || std::isnan(x)) return not_a_number;
    if (std::isinf(a)) return std::isinf(x) ? not_a_number : 0;
    return std::isinf(x) ? 1 : -1;
}

}  // namespace

// Newton's method on erf from a rational start (M. Giles, "Approximating the erfinv function", 2010).
double inverse_erf(double x) {
    if (!(std::fabs(x) < 1)) return std::fabs(x) == 1 ? x * infinity : not_a_number;
    double w = -std::log((1.0 - x) * (1.0 + x)), y;
    if (w < 5) {
        w -= 2.5;
        y = 2.81022636e-08;
        for (double c : {3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
                         -0.00417768164, 0.246640727, 1.50140941})
            y = c + y * w;
    } else {
        w = std::sqrt(w) - 3;
        y = -0.000200214257;
        for (double c : {0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
                         0.00943887047, 1.00167406, 2.83297682})
            y = c + y * w;
    }
    y *= x;
    const double slope = 1.1283791670955126;  // 2 / sqrt(pi)
    for (int i = 0; i < 2; ++i) y -= (std::erf(y) - x) / (slope * std::exp(-y * y));
    return y;
}

double scaled_erfc(double x) {
    if (x < 20) return std::exp(x * x) * std::erfc(x);
    const double y = 1 / (2 * x * x);  // an asymptotic series, exact to double precision from 20 on
    return (1 - y * (1 - 3 * y * (1 - 5 * y * (1 - 7 * y)))) / (x * std::sqrt(pi));
}

double log_normal_share(double x) {
    if (x > -1) return std::log1p(-0.5 * std::erfc(x / root_of_two));
    return std::log(0.5 * scaled_erfc(-x / root_of_two)) - 0.5 * x * x;
}

// Newton's method on the logarithm of the share, which is concave, from the tail's own asymptote.
double normal_quantile(double p) {
    if (!(p > 0 && p < 1)) return p == 0 ? -infinity : p == 1 ? infinity : not_a_number;
    if (p > 0.5) return -normal_quantile(1 - p);
    const double wanted = std::log(p);
    double x = -std::sqrt(std::fmax(-2 * wanted - std::log(2 * pi), 0.0));
    for (int i = 0; i < 40; ++i) {
        const double share = log_normal_share(x);
        const double slope = std::exp(-0.5 * x * x - share) / std::sqrt(2 * pi);
        const double step = (share - wanted) / slope;
        x -= step;
        if (std::fabs(step) <= 1e-14 * (1 + std::fabs(x))) break;
    }
    return x;
}

double digamma(double x) {
    if (x == 0) return std::copysign(infinity, -x);
    if (x < 0 && x == std::floor(x)) return not_a_number;
    double result = 0;
    if (x < 0) {
        result = -pi / std::tan(pi * (x - std::floor(x)));
        x = 1 - x;
    }
    for (; x < 10; ++x) result -= 1 / x;
    const double y = 1 / (x * x);
    const double tail =
        y * (1.0 / 12 -
             y * (1.0 / 120 - y * (1.0 / 252 - y * (1.0 / 240 - y * (5.0 / 660 - y * 691.0 / 32760)))));
    return result + std::log(x) - 0.5 / x - tail;
}

// The sum of the first terms, and the Euler-Maclaurin formula for the others: its coefficients are (2k)! /
// B_2k.
double zeta(double x, double q) {
    if (x == 1) return infinity;
    if (x < 1) return not_a_number;
    if (q <= 0) {
        if (q == std::floor(q)) return infinity;
        if (x != std::floor(x)) return not_a_number;
    }
    double sum = std::pow(q, -x), a = q, term = 0;
    for (int i = 0; i < 9 || a <= 9; ++i) {
        a += 1;
        term = std::pow(a, -x);
        sum += term;
        if (std::fabs(term) < 1e-17 * std::fabs(sum) || i > most_terms) return sum;
    }
    sum += term * a / (x - 1) - 0.5 * term;
    double factor = 1, k = 0;
    for (double c : {12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1.8924375803183791606e9, 7.47242496e10,
                     -2.950130727918164224e12, 1.1646782814350067249e14, -4.5979787224074726105e15,
                     1.8152105401943546773e17, -7.1661652561756670113e18}) {
        factor *= x + k;
        term /= a;
        const double part = factor * term / c;
        sum += part;
        if (std::fabs(part) < 1e-17 * std::fabs(sum)) break;
        k += 1;
        factor *= x + k;
        term /= a;
        k += 1;
    }
    return sum;
}

double gamma_below(double a, double x) {
    const double known = gamma_corner(a, x);
    if (!(known < 0)) return known;
    if (a > large_shape) return gamma_uniform(a, x, -1);
    return x < a + 1 ? gamma_series(a, x) : 1 - gamma_fraction(a, x);
}

double gamma_above(double a, double x) {
    const double known = gamma_corner(a, x);
    if (!(known < 0)) return 1 - known;
    if (a > large_shape) return gamma_uniform(a, x, 1);
    return x < a + 1 ? 1 - gamma_series(a, x) : gamma_fraction(a, x);
}

// The power series up to 30, the asymptotic one beyond it (Abramowitz and Stegun, 9.6.10 and 9.7.1).
double scaled_bessel_i(int order, double x) {
    const double size = std::fabs(x), sign = order % 2 && x < 0 ? -1 : 1;
    if (std::isnan(x)) return x;
    if (size <= 30) {
        const double square = size * size / 4;
        double term = order ? size / 2 : 1, sum = term;
        for (int k = 1; term > sum * 1e-17; ++k) sum += term *= square / (double(k) * (k + order));
        return sign * sum * std::exp(-size);
    }
    double term = 1, sum = 1;
    for (int k = 1; k <= 20; ++k) {
        term *= -(4.0 * order * order - (2.0 * k - 1) * (2.0 * k - 1)) / (k * 8 * size);
        sum += term;
    }
    return sign * sum / std::sqrt(2 * pi * size);
}

double bessel_i(int order, double x) {
    if (std::isinf(x)) return order % 2 ? x : infinity;
    return scaled_bessel_i(order, x) * std::exp(std::fabs(x));
}

// The integral of exp(-x (cosh t - 1)) cosh(order t) over t (9.6.24) by the trapezoidal rule, which converges
// exponentially for it.
double scaled_bessel_k(int order, double x) {
    if (!(x > 0)) return x == 0 ? infinity : not_a_number;
    if (std::isinf(x)) return 0;
    const double step = x > 1 ? 0.1 / std::sqrt(x) : 0.1;
    double sum = 0.5;
    for (int i = 1; i < 4000; ++i) {
        const double t = i * step, half = std::sinh(t / 2);
        const double part = std::exp(-2 * x * half * half) * (order ? std::cosh(order * t) : 1.0);
        sum += part;
        if (part < sum * 1e-17) break;
    }
    return sum * step;
}

}  // namespace native::special
