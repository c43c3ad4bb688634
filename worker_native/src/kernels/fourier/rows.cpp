// Fourier transforms of rows. Some rows side by side share the turns, and fill the CPU's vectors at any
// length.
#include <bit>
#include <memory>
#include <new>

#include "kernels/fourier/row_transform.h"
#include "kernels/kernel.h"

namespace native {
namespace {

enum Mode : int64_t { complex_rows, to_half, to_real };

struct Job {
    Mode mode;
    int64_t n;
    bool is_inverse;
    float scale;
    int64_t inner_in, inner_out;
    const RowTransform& plan;

    explicit Job(const Kernel& kernel)
        : mode(static_cast<Mode>(kernel.params[0])),
          n(kernel.params[1]),
          is_inverse(kernel.params[2] != 0),
          scale(static_cast<float>(std::bit_cast<double>(kernel.params[3]))),
          inner_in(kernel.params[4]),
          inner_out(kernel.params[5]),
          plan(*static_cast<const RowTransform*>(kernel.plan.get())) {}
    int64_t kept() const { return n / 2 + 1; }
    int64_t count_in() const { return mode == to_real ? kept() : n; }
    int64_t count_out() const { return mode == to_half ? kept() : n; }
    int64_t num_rows(const ggml_tensor* dst) const {
        return ggml_nelements(dst) / (count_out() * (mode == to_real ? 1 : 2));
    }
};

// Where the elements of some rows lie: `step` apart.
template <class Float, int64_t lanes>
struct Rows {
    Float* at[lanes];
    int64_t step;

    // Rows from `first` on of [outer][n][inner] elements of `unit` numbers.
    Rows(Float* base, int64_t first, int64_t n, int64_t inner, int64_t unit) : step(inner * unit) {
        for (int64_t lane = 0; lane < lanes; ++lane) {
            const int64_t row = first + lane;
            at[lane] = base + (row / inner * n * inner + row % inner) * unit;
        }
    }
};

template <int64_t lanes>
using Source = Rows<const float, lanes>;
template <int64_t lanes>
using Target = Rows<float, lanes>;

// Complex elements as [n][lanes]: `step` from one to the next, `im` from its real part to the imaginary one.
template <int64_t lanes>
void load_pairs(const Source<lanes>& rows, int64_t step, int64_t im, int64_t n, Split<float> to) {
    for (int64_t j = 0; j < n; ++j)
        for (int64_t lane = 0; lane < lanes; ++lane) {
            to.re[j * lanes + lane] = rows.at[lane][j * step];
            to.im[j * lanes + lane] = rows.at[lane][j * step + im];
        }
}

template <int64_t lanes>
void load_real(const Source<lanes>& rows, int64_t n, Split<float> to) {
    for (int64_t j = 0; j < n; ++j)
        for (int64_t lane = 0; lane < lanes; ++lane) {
            to.re[j * lanes + lane] = rows.at[lane][j * rows.step];
            to.im[j * lanes + lane] = 0;
        }
}

// The first half of spectra as the whole of them: the rest is the conjugate. The first element is real.
template <int64_t lanes>
void load_mirrored(const Source<lanes>& rows, int64_t n, Split<float> to) {
    for (int64_t k = 0; k < n; ++k) {
        const int64_t from = (k <= n / 2 ? k : n - k) * rows.step;
        const float sign = k <= n / 2 ? 1.0f : -1.0f;
        for (int64_t lane = 0; lane < lanes; ++lane) {
            to.re[k * lanes + lane] = rows.at[lane][from];
            to.im[k * lanes + lane] = k == 0 ? 0.0f : sign * rows.at[lane][from + 1];
        }
    }
}

// The spectra from which a transform of half the length makes pairs of neighbours. Their ends are real.
template <int64_t lanes>
void load_packed(const Source<lanes>& rows, const RowTransform& plan, Split<float> to) {
    const int64_t half = plan.transform.size();
    for (int64_t k = 0; k < half; ++k) {
        const float c = plan.cos[static_cast<size_t>(k)], s = plan.sin[static_cast<size_t>(k)];
        for (int64_t lane = 0; lane < lanes; ++lane) {
            const float* one = rows.at[lane] + k * rows.step;
            const float* other = rows.at[lane] + (half - k) * rows.step;
            const float im = k > 0 ? one[1] : 0.0f, other_im = k > 0 ? -other[1] : 0.0f;
            const float gap_r = one[0] - other[0], gap_i = im - other_im;
            to.re[k * lanes + lane] = one[0] + other[0] + s * gap_r - c * gap_i;
            to.im[k * lanes + lane] = im + other_im + s * gap_i + c * gap_r;
        }
    }
}

template <int64_t lanes>
void store_pairs(Split<float> from, float scale, int64_t n, int64_t step, int64_t im,
                 const Target<lanes>& rows) {
    for (int64_t k = 0; k < n; ++k)
        for (int64_t lane = 0; lane < lanes; ++lane) {
            rows.at[lane][k * step] = scale * from.re[k * lanes + lane];
            rows.at[lane][k * step + im] = scale * from.im[k * lanes + lane];
        }
}

template <int64_t lanes>
void store_real(Split<float> from, float scale, int64_t n, const Target<lanes>& rows) {
    for (int64_t j = 0; j < n; ++j)
        for (int64_t lane = 0; lane < lanes; ++lane)
            rows.at[lane][j * rows.step] = scale * from.re[j * lanes + lane];
}

// The spectra of real rows whose neighbours were transformed as pairs.
template <int64_t lanes>
void store_unpacked(Split<float> from, float scale, const RowTransform& plan, const Target<lanes>& rows) {
    const int64_t half = plan.transform.size();
    const float part = scale / 2;
    for (int64_t k = 0; k <= half; ++k) {
        const float c = plan.cos[static_cast<size_t>(k)], s = plan.sin[static_cast<size_t>(k)];
        const int64_t one = k < half ? k * lanes : 0, other = k > 0 ? (half - k) * lanes : 0;
        for (int64_t lane = 0; lane < lanes; ++lane) {
            const float re = from.re[one + lane], im = from.im[one + lane];
            const float other_re = from.re[other + lane], other_im = -from.im[other + lane];
            const float gap_r = re - other_re, gap_i = im - other_im;
            float* to = rows.at[lane] + k * rows.step;
            to[0] = part * (re + other_re + c * gap_i + s * gap_r);
            to[1] = part * (im + other_im + s * gap_i - c * gap_r);
        }
    }
}

template <int64_t lanes>
void load(const Job& job, const Source<lanes>& in, Split<float> data) {
    const int64_t size = job.plan.transform.size();
    if (job.mode == complex_rows) return load_pairs<lanes>(in, in.step, 1, size, data);
    if (job.mode == to_half && job.plan.is_packed)
        return load_pairs<lanes>(in, 2 * in.step, in.step, size, data);
    if (job.mode == to_half) return load_real<lanes>(in, size, data);
    if (job.plan.is_packed) return load_packed<lanes>(in, job.plan, data);
    load_mirrored<lanes>(in, size, data);
}

template <int64_t lanes>
void store(const Job& job, Split<float> done, const Target<lanes>& out) {
    const int64_t size = job.plan.transform.size();
    if (job.mode == complex_rows) return store_pairs<lanes>(done, job.scale, size, out.step, 1, out);
    if (job.mode == to_half && job.plan.is_packed)
        return store_unpacked<lanes>(done, job.scale, job.plan, out);
    if (job.mode == to_half) return store_pairs<lanes>(done, job.scale, job.kept(), out.step, 1, out);
    if (job.plan.is_packed) return store_pairs<lanes>(done, job.scale, size, 2 * out.step, out.step, out);
    store_real<lanes>(done, job.scale, size, out);
}

// `lanes` rows from `first` on; `scratch` has four times their room.
template <int64_t lanes>
void transform_rows(const Job& job, ggml_tensor* dst, int64_t first, float* scratch) {
    const int64_t part = job.plan.transform.room() * lanes;
    const Split<float> data = {scratch, scratch + part}, other = {scratch + 2 * part, scratch + 3 * part};
    const auto* from = static_cast<const float*>(dst->src[0]->data);
    load<lanes>(job, {from, first, job.count_in(), job.inner_in, job.mode == to_half ? 1 : 2}, data);
    const auto turn = [&](Split<float> parts) { return job.is_inverse ? parts.swapped() : parts; };
    const Split<float> done = turn(job.plan.transform.run(turn(data), turn(other), lanes));
    auto* to = static_cast<float*>(dst->data);
    store<lanes>(job, done, {to, first, job.count_out(), job.inner_out, job.mode == to_real ? 1 : 2});
}

// So many elements of all arrays together stay in the CPU's own cache.
constexpr int64_t most_elements = 32768;

int64_t lanes_for(int64_t rows, int64_t room) {
    for (int64_t lanes : {16, 8, 4})
        if (rows >= lanes && lanes * room <= most_elements) return lanes;
    return 1;
}

void fourier(ggml_tensor* dst, int ith, int nth, void* data) {
    const Kernel& kernel = *static_cast<const Kernel*>(data);
    const Job job(kernel);
    const Range rows(job.num_rows(dst), ith, nth);
    const int64_t room = job.plan.transform.room();
    if (rows.begin == rows.end) return;
    const auto size = static_cast<size_t>(4 * room * lanes_for(rows.end - rows.begin, room));
    const std::unique_ptr<float[]> scratch(new (std::nothrow) float[size]);
    if (!scratch) return kernel.fault->report(FaultKind::memory, kernel.step, 0, 0);
    for (int64_t row = rows.begin; row < rows.end;) {
        const int64_t lanes = lanes_for(rows.end - row, room);
        (lanes == 16  ? transform_rows<16>
         : lanes == 8 ? transform_rows<8>
         : lanes == 4 ? transform_rows<4>
                      : transform_rows<1>)(job, dst, row, scratch.get());
        row += lanes;
    }
}

}  // namespace

KernelFunction fourier_kernel() { return fourier; }

}  // namespace native
