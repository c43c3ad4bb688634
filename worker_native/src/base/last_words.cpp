#include "base/last_words.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>

#include "base/check.h"

namespace native {
namespace {

constexpr std::array fatal_signals{SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

struct Page {
    int32_t signal;
    int32_t weight;
    char words[2040];
};
static_assert(sizeof(Page) == kLastWordsBytes);

// A mapping of a file: what is in it when the process ends stays, however it ends.
std::atomic<Page*> current_page = nullptr;
std::mutex writing;
std::array<struct sigaction, fatal_signals.size()> previous{};

void on_signal(int number) {
    Page* page = current_page.load();
    if (page) page->signal = number;
    for (size_t i = 0; i < fatal_signals.size(); ++i)
        if (fatal_signals[i] == number) sigaction(number, &previous[i], nullptr);
    raise(number);  // comes to whoever was there before us, once this returns
}

}  // namespace

void keep_last_words(const std::string& path) {
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) failed("last words: ", path, ": ", std::strerror(errno));
    void* mapped = MAP_FAILED;
    if (ftruncate(file, sizeof(Page)) == 0)
        mapped = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    const int error = errno;
    close(file);
    if (mapped == MAP_FAILED) failed("last words: ", path, ": ", std::strerror(error));
    // The former page stays mapped: another thread may be about to write to it.
    if (current_page.exchange(static_cast<Page*>(mapped))) return;
    for (size_t i = 0; i < fatal_signals.size(); ++i) {
        struct sigaction action{};
        action.sa_handler = on_signal;
        action.sa_flags = SA_ONSTACK;
        sigemptyset(&action.sa_mask);
        sigaction(fatal_signals[i], &action, &previous[i]);
    }
}

void note_last_words(Weight weight, std::string_view words) {
    Page* page = current_page.load();
    if (!page || words.empty()) return;
    const std::lock_guard lock(writing);
    if (static_cast<int32_t>(weight) < page->weight) return;
    page->weight = static_cast<int32_t>(weight);
    const size_t length = std::min(words.size(), sizeof page->words - 1);
    std::memcpy(page->words, words.data(), length);
    page->words[length] = '\0';
}

}  // namespace native
