// Fourier transforms of rows. Some rows side by side share the turns, and fill the CPU's vectors at any
// length.
#include <bit>
#include <memory>
#include <new>

#include "fourier.h"
#include "kernel.h"

namespace native {
namespace {

enum Mode : int64_t { complex_rows, to_half, to_real };

struct Job {
    Mode mode;
    int64_t n;
    bool is_inverse;
    float scale;
    const RowTransform& plan;

    explicit Job(const Kernel& kernel)
        : mode(static_cast<Mode>(kernel.params[0])),
          n(kernel.params[1]),
          is_inverse(kernel.params[2] != 0),
          scale(static_cast<float>(std::bit_cast<double>(kernel.params[3]))),
          plan(*static_cast<const RowTransform*>(kernel.plan.get())) {}
    int64_t kept() const { return n / 2 + 1; }
    int64_t width_in() const { return mode == to_half ? n : mode == to_real ? 2 * kept() : 2 * n; }
    int64_t width_out() const { return mode == to_half ? 2 * kept() : mode == to_real ? n : 2 * n; }
};

// The elements of rows `width` apart as [n][lanes].
template <int64_t lanes>
void load_pairs(const float* rows, int64_t width, int64_t n, Split<float> to) {
    for (int64_t j = 0; j < n; ++j)
        for (int64_t lane = 0; lane < lanes; ++lane) {
            to.re[j * lanes + lane] = rows[lane * width + 2 * j];
            to.im[j * lanes + lane] = rows[lane * width + 2 * j + 1];
        }
}

template <int64_t lanes>
void load_real(const float* rows, int64_t n, Split<float> to) {
    for (int64_t j = 0; j < n; ++j)
        for (int64_t lane = 0; lane < lanes; ++lane) {
            to.re[j * lanes + lane] = rows[lane * n + j];
            to.im[j * lanes + lane] = 0;
        }
}

// The first half of spectra as the whole of them: the rest is the conjugate. The first element is real.
template <int64_t lanes>
void load_mirrored(const float* rows, int64_t width, int64_t n, Split<float> to) {
    for (int64_t k = 0; k < n; ++k) {
        const int64_t from = k <= n / 2 ? k : n - k;
        const float sign = k == 0 ? 0.0f : k <= n / 2 ? 1.0f : -1.0f;
        for (int64_t lane = 0; lane < lanes; ++lane) {
            to.re[k * lanes + lane] = rows[lane * width + 2 * from];
            to.im[k * lanes + lane] = k == 0 ? 0.0f : sign * rows[lane * width + 2 * from + 1];
        }
    }
}

// What a transform of half the length makes pairs of neighbours of. The ends of a spectrum are real.
template <int64_t lanes>
void load_packed(const float* rows, int64_t width, const RowTransform& plan, Split<float> to) {
    const int64_t half = plan.transform.size();
    for (int64_t k = 0; k < half; ++k) {
        const float c = plan.cos[static_cast<size_t>(k)], s = plan.sin[static_cast<size_t>(k)];
        for (int64_t lane = 0; lane < lanes; ++lane) {
            const float *one = rows + lane * width + 2 * k, *other = rows + lane * width + 2 * (half - k);
            const float im = k > 0 ? one[1] : 0.0f, other_im = k > 0 ? -other[1] : 0.0f;
            const float gap_r = one[0] - other[0], gap_i = im - other_im;
            to.re[k * lanes + lane] = one[0] + other[0] + s * gap_r - c * gap_i;
            to.im[k * lanes + lane] = im + other_im + s * gap_i + c * gap_r;
        }
    }
}

template <int64_t lanes>
void store_pairs(Split<float> from, float scale, int64_t n, int64_t width, float* rows) {
    for (int64_t k = 0; k < n; ++k)
        for (int64_t lane = 0; lane < lanes; ++lane) {
            rows[lane * width + 2 * k] = scale * from.re[k * lanes + lane];
            rows[lane * width + 2 * k + 1] = scale * from.im[k * lanes + lane];
        }
}

template <int64_t lanes>
void store_real(Split<float> from, float scale, int64_t n, float* rows) {
    for (int64_t j = 0; j < n; ++j)
        for (int64_t lane = 0; lane < lanes; ++lane) rows[lane * n + j] = scale * from.re[j * lanes + lane];
}

// The spectra of real rows whose neighbours were transformed as pairs.
template <int64_t lanes>
void store_unpacked(Split<float> from, float scale, const RowTransform& plan, int64_t width, float* rows) {
    const int64_t half = plan.transform.size();
    const float part = scale / 2;
    for (int64_t k = 0; k <= half; ++k) {
        const float c = plan.cos[static_cast<size_t>(k)], s = plan.sin[static_cast<size_t>(k)];
        const int64_t one = k < half ? k * lanes : 0, other = k > 0 ? (half - k) * lanes : 0;
        for (int64_t lane = 0; lane < lanes; ++lane) {
            const float re = from.re[one + lane], im = from.im[one + lane];
            const float other_re = from.re[other + lane], other_im = -from.im[other + lane];
            const float gap_r = re - other_re, gap_i = im - other_im;
            rows[lane * width + 2 * k] = part * (re + other_re + c * gap_i + s * gap_r);
            rows[lane * width + 2 * k + 1] = part * (im + other_im + s * gap_i - c * gap_r);
        }
    }
}

// `lanes` rows from `in` to `out`; `scratch` has four times their room.
template <int64_t lanes>
void transform_rows(const Job& job, const float* in, float* out, float* scratch) {
    const int64_t part = job.plan.transform.room() * lanes, size = job.plan.transform.size();
    const Split<float> data = {scratch, scratch + part}, other = {scratch + 2 * part, scratch + 3 * part};
    const bool is_packed = job.plan.is_packed;
    if (job.mode == complex_rows || (job.mode == to_half && is_packed))
        load_pairs<lanes>(in, job.width_in(), size, data);
    else if (job.mode == to_half)
        load_real<lanes>(in, size, data);
    else if (is_packed)
        load_packed<lanes>(in, job.width_in(), job.plan, data);
    else
        load_mirrored<lanes>(in, job.width_in(), size, data);
    const auto turn = [&](Split<float> parts) { return job.is_inverse ? parts.swapped() : parts; };
    const Split<float> done = turn(job.plan.transform.run(turn(data), turn(other), lanes));
    if (job.mode == to_half && is_packed)
        store_unpacked<lanes>(done, job.scale, job.plan, job.width_out(), out);
    else if (job.mode == to_real && !is_packed)
        store_real<lanes>(done, job.scale, size, out);
    else
        store_pairs<lanes>(done, job.scale, job.mode == to_half ? job.kept() : size, job.width_out(), out);
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
    const Range rows(ggml_nelements(dst) / job.width_out(), ith, nth);
    const int64_t room = job.plan.transform.room();
    if (rows.begin == rows.end) return;
    const auto size = static_cast<size_t>(4 * room * lanes_for(rows.end - rows.begin, room));
    const std::unique_ptr<float[]> scratch(new (std::nothrow) float[size]);
    if (!scratch) return kernel.fault->report(FaultKind::memory, kernel.step, 0, 0);
    for (int64_t row = rows.begin; row < rows.end;) {
        const float* in = static_cast<const float*>(dst->src[0]->data) + row * job.width_in();
        float* out = static_cast<float*>(dst->data) + row * job.width_out();
        const int64_t lanes = lanes_for(rows.end - row, room);
        (lanes == 16  ? transform_rows<16>
         : lanes == 8 ? transform_rows<8>
         : lanes == 4 ? transform_rows<4>
                      : transform_rows<1>)(job, in, out, scratch.get());
        row += lanes;
    }
}

}  // namespace

KernelFunction fourier_kernel() { return fourier; }

}  // namespace native
