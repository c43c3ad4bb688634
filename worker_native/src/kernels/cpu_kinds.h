// A kernel compiled for several kinds of CPU, of which the one for this CPU runs.
#pragma once

namespace native {

// Each kind's `run` is a function of its own, and what is inlined into it uses the instructions of that kind.
// `Work::apply<lanes>` is for vectors of so many floats, and has to be inlined always. References are passed
// as they are named in `Args`.
struct PlainCpu {
    template <class Work, class... Args>
    static void run(Args... args) {
        Work::template apply<4>(args...);
    }
};

#if defined(__x86_64__)
struct Avx2Cpu {
    template <class Work, class... Args>
    [[gnu::target("avx2,fma")]] static void run(Args... args) {
        Work::template apply<8>(args...);
    }
};

struct Avx512Cpu {
    template <class Work, class... Args>
    [[gnu::target("avx512f,avx2,fma")]] static void run(Args... args) {
        Work::template apply<16>(args...);
    }
};
#endif

// The function for this CPU.
template <class Work, class... Args>
auto for_this_cpu() -> void (*)(Args...) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return Avx512Cpu::run<Work, Args...>;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Avx2Cpu::run<Work, Args...>;
#endif
    return PlainCpu::run<Work, Args...>;
}

}  // namespace native
