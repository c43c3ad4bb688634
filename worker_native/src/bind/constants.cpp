// Numbers that Python counts with, too: a test compares them with its own.
#include "base/last_words.h"
#include "bind/bind.h"
#include "graph/program.h"
#include "slice/groups.h"
#include "slice/slice_file.h"

void bind_constants(nanobind::module_& m) {
    m.attr("MAX_GAP") = native::kMaxGap;
    m.attr("ATTENTION_STEP") = native::kAttentionStep;
    m.attr("MAX_LAYERS") = native::kMaxLayers;
    m.attr("MAX_SLOTS") = static_cast<int64_t>(llama_max_parallel_sequences());
    m.attr("MAX_SOURCES") = native::kMaxSources;
    m.attr("LAST_WORDS_BYTES") = native::kLastWordsBytes;
}
