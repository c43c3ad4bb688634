// A record of libllama's last line and of the signal that ended this process, for whoever outlives it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace native {

// How much a line tells of why a process ended: a later line takes the place of one that tells no more.
enum class Weight { line, error, assertion };

inline constexpr size_t kLastWordsBytes = 2048;  // the size of the file

// From now on, keep both in a new file at `path`: the number of the signal (int32, 0: none that can be
// caught), the weight (int32), then the words, up to a NUL. Signal handlers that were there are called after
// ours. RuntimeError if the file cannot be made.
void keep_last_words(const std::string& path);

// Does nothing before `keep_last_words`.
void note_last_words(Weight weight, std::string_view words);

}  // namespace native
