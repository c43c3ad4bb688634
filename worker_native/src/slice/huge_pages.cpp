#include "slice/huge_pages.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace native {
namespace {

using Clock = std::chrono::steady_clock;

// malloc maps what is larger by itself; stacks are smaller
constexpr uintptr_t min_bytes = 32 << 20;
constexpr uintptr_t piece_bytes = min_bytes;
const std::string settings = "/sys/kernel/mm/transparent_hugepage/";

// 0 if there are none to be had.
uintptr_t huge_page_bytes() {
    std::string chosen;
    std::ifstream enabled(settings + "enabled");
    if (!std::getline(enabled, chosen) || chosen.find("[never]") != std::string::npos) return 0;
    uintptr_t bytes = 0;
    std::ifstream(settings + "hpage_pmd_size") >> bytes;
    return bytes;
}

// Advice: what cannot be followed stays as it was.
void advise(uintptr_t begin, uintptr_t end, Clock::time_point deadline) {
#ifdef __linux__
#ifndef MADV_COLLAPSE
    constexpr int MADV_COLLAPSE = 25;  // Linux 6.1; older ones refuse, and collapse in their own time
#endif
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
    // In pieces, because the kernel stops where nothing has been written yet.
    for (uintptr_t piece = begin; piece < end && Clock::now() < deadline; piece += piece_bytes)
        madvise(reinterpret_cast<void*>(piece), std::min(piece_bytes, end - piece), MADV_COLLAPSE);
#else
    (void)begin, (void)end, (void)deadline;
#endif
}

}  // namespace

NewMemory::NewMemory() : before_(anonymous_ranges()) {}

void NewMemory::use_huge_pages(std::chrono::milliseconds most) const {
    const auto deadline = Clock::now() + most;
    const uintptr_t page_bytes = huge_page_bytes();
    if (page_bytes == 0) return;
    for (const Range& buffer : new_buffers()) {
        const uintptr_t begin = (buffer.begin + page_bytes - 1) / page_bytes * page_bytes;
        const uintptr_t end = buffer.end / page_bytes * page_bytes;
        if (begin < end) advise(begin, end, deadline);
    }
}

// Empty where the system has no /proc.
std::vector<NewMemory::Range> NewMemory::anonymous_ranges() {
    std::vector<Range> found;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        Range range{};
        uint64_t inode = 0;
        const int num_read = std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " rw-p %*s %*s %" SCNu64,
                                         &range.begin, &range.end, &inode);
        if (num_read == 3 && inode == 0) found.push_back(range);
    }
    return found;
}

// Mappings side by side are one to the kernel: of a range that has grown, the parts that are new.
std::vector<NewMemory::Range> NewMemory::new_buffers() const {
    std::vector<Range> found;
    const auto add = [&found](uintptr_t begin, uintptr_t end) {
        if (begin < end && end - begin >= min_bytes) found.push_back({begin, end});
    };
    for (const Range& range : anonymous_ranges()) {
        uintptr_t begin = range.begin;
        for (const Range& old : before_) {
            if (old.end <= begin || old.begin >= range.end) continue;
            add(begin, old.begin);
            begin = std::max(begin, old.end);
        }
        add(begin, range.end);
    }
    return found;
}

}  // namespace native
