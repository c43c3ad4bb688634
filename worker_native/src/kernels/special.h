// Special functions in double precision, for kernels that round them to float once.
#pragma once

namespace native::special {

double inverse_erf(double x);
// exp(x^2) * erfc(x)
double scaled_erfc(double x);
// The logarithm of the share of a normal distribution below x, and x for a share.
double log_normal_share(double x);
double normal_quantile(double p);

double digamma(double x);
// The Hurwitz zeta function: the sum of 1 / (k + q)^x over k >= 0.
double zeta(double x, double q);
// Shares of the gamma distribution of shape a below and above x.
double gamma_below(double a, double x);
double gamma_above(double a, double x);

// Modified Bessel functions of order 0 and 1. The scaled ones are multiplied by exp(-|x|), of the second kind
// by exp(x).
double bessel_i(int order, double x);
double scaled_bessel_i(int order, double x);
double scaled_bessel_k(int order, double x);

}  // namespace native::special
